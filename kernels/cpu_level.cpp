#include "kernels/cpu_level.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "kernels/backend.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace masque {
namespace {

constexpr CpuLevel kLevels[] = {CpuLevel::portable, CpuLevel::avx2, CpuLevel::avx512,
                                CpuLevel::avx512_bf16, CpuLevel::amx};

bool built(CpuLevel level) {
  switch (level) {
    case CpuLevel::portable:
      return true;
    case CpuLevel::avx2:
      return MASQUE_HAS_AVX2;
    case CpuLevel::avx512:
      return MASQUE_HAS_AVX512;
    case CpuLevel::avx512_bf16:
      return MASQUE_HAS_AVX512_BF16;
    case CpuLevel::amx:
      return MASQUE_HAS_AMX;
  }
  return false;
}

#ifdef __x86_64__

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned part) {
  Registers r;
  __get_cpuid_count(leaf, part, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool all_bits(unsigned long long word, std::initializer_list<int> bits) {
  return std::all_of(bits.begin(), bits.end(), [&](int bit) { return word >> bit & 1; });
}

// The registers that the kernel saves for a process (XCR0).
unsigned long long saved_state() {
  if (!all_bits(cpuid(1, 0).ecx, {27})) return 0;  // OSXSAVE
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | static_cast<unsigned long long>(high) << 32;
}

// Linux hands out the tiles' state on request (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA), for the
// whole process.
bool request_tiles() {
  constexpr int kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

// Intel SDM vol. 2, CPUID; vol. 1, 13.3.
CpuLevel best_of_cpu() {
  const Registers basic = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  const unsigned long long saved = saved_state();
  constexpr int kFma = 12, kAvx = 28;                              // leaf 1, ecx
  constexpr int kAvx2 = 5, kF = 16, kDq = 17, kBw = 30, kVl = 31;  // leaf 7, ebx
  constexpr int kBf16 = 5;                                         // leaf 7 part 1, eax
  constexpr int kAmxBf16 = 22, kAmxTile = 24;                      // leaf 7, edx
  if (!all_bits(saved, {1, 2}) || !all_bits(basic.ecx, {kFma, kAvx}) ||
      !all_bits(seven.ebx, {kAvx2})) {
    return CpuLevel::portable;
  }
  if (!all_bits(saved, {5, 6, 7}) || !all_bits(seven.ebx, {kF, kDq, kBw, kVl})) {
    return CpuLevel::avx2;
  }
  if (!all_bits(seven_one.eax, {kBf16})) return CpuLevel::avx512;
  if (!all_bits(saved, {17, 18}) || !all_bits(seven.edx, {kAmxBf16, kAmxTile}) ||
      !request_tiles()) {
    return CpuLevel::avx512_bf16;
  }
  return CpuLevel::amx;
}

#else

CpuLevel best_of_cpu() {
  return CpuLevel::portable;
}

#endif

std::string names(const std::vector<CpuLevel>& levels) {
  std::string text;
  for (const CpuLevel level : levels)
    text += (text.empty() ? "" : ", ") + std::string(name_of(level));
  return text;
}

CpuLevel first_level() {
  const std::vector<CpuLevel> here = cpu_levels();
  const char* wanted = std::getenv("MASQUE_CPU");
  if (wanted == nullptr || *wanted == '\0') return here.back();
  for (const CpuLevel level : here) {
    if (std::string(wanted) == name_of(level)) return level;
  }
  throw InputError("MASQUE_CPU=" + std::string(wanted) + ": must be one of " + names(here) +
                   ", which this build has and this CPU can run");
}

std::atomic<CpuLevel>& level_in_use() {
  static std::atomic<CpuLevel> level{first_level()};
  return level;
}

}  // namespace

CpuLevel cpu_level() {
  return level_in_use().load(std::memory_order_relaxed);
}

void set_cpu_level(CpuLevel level) {
  const std::vector<CpuLevel> here = cpu_levels();
  if (std::find(here.begin(), here.end(), level) == here.end()) {
    throw Error("CPU level " + std::string(name_of(level)) + ": must be one of " + names(here));
  }
  level_in_use() = level;
}

std::vector<CpuLevel> built_levels() {
  std::vector<CpuLevel> levels;
  for (const CpuLevel level : kLevels) {
    if (built(level)) levels.push_back(level);
  }
  return levels;
}

std::vector<CpuLevel> cpu_levels() {
  static const CpuLevel best = best_of_cpu();
  std::vector<CpuLevel> levels = built_levels();
  std::erase_if(levels, [](CpuLevel level) { return level > best; });
  return levels;
}

const char* name_of(CpuLevel level) {
  switch (level) {
    case CpuLevel::portable:
      return "portable";
    case CpuLevel::avx2:
      return "avx2";
    case CpuLevel::avx512:
      return "avx512";
    case CpuLevel::avx512_bf16:
      return "avx512_bf16";
    case CpuLevel::amx:
      return "amx";
  }
  return "";
}

}  // namespace masque
