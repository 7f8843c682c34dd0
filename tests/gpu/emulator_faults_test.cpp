// What CUDA leaves undefined, the emulator refuses, naming the thread and the line: each test is a
// kernel with one fault.
#include <functional>
#include <vector>

#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Catch::Contains;

// What running `kernel` on one block says; "" where nothing.
template <class Kernel>
std::string complaint(Kernel kernel, dim3 block, std::size_t shared_bytes = 0,
                      float* memory = nullptr) {
  try {
    launch({"faulty", 1, block, shared_bytes}, test_stream(), kernel, memory);
    GPU_CHECK(cudaStreamSynchronize(test_stream()));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

__global__ void half_at_a_barrier(float*) {
  if (threadIdx.x < 32) __syncthreads();
}

__global__ void at_different_barriers(float*) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void returns_before_a_barrier(float*) {
  if (threadIdx.x == 5) return;
  __syncthreads();
}

__global__ void shuffles_without_a_lane(float*) {
  if (threadIdx.x == 3) return;
  __shfl_xor_sync(kAllLanes, 1.0f, 1);
}

__global__ void different_shuffles(float*) {
  if (threadIdx.x < 16) {
    __shfl_xor_sync(kAllLanes, 1.0f, 1);
  } else {
    __shfl_xor_sync(kAllLanes, 1.0f, 2);
  }
}

__global__ void shuffles_outside_its_mask(float*) {
  if (threadIdx.x >= 16) __shfl_xor_sync(0xffffu, 1.0f, 1);
}

__global__ void never_waits_for_its_copy(float* memory) {
  GPU_SHARED(float, tile, [4]);
  copy_async16(tile, memory);
  commit_copies();
}

__global__ void misaligned_copy(float* memory) {
  GPU_SHARED(float, tile, [8]);
  copy_async16(tile + 1, memory);
}

__global__ void copy_past_shared_memory(float* memory) {
  GPU_SHARED(float, tile, [3]);
  copy_async16(tile, memory);
}

__global__ void misaligned_load(float* memory) {
  memory[0] = load_as<float2>(memory + 1).x;
}

__global__ void matrix_of_global_memory(float* memory) {
  std::uint32_t fragments[1];
  ldmatrix_x1(fragments, memory);
}

__global__ void takes_more_than_launched(float*) {
  SharedPieces pieces;
  pieces.take<float>(65);
}

__global__ void takes_different_pieces(float*) {
  SharedPieces pieces;
  pieces.take<float>(1 + threadIdx.x);
}

__global__ void does_nothing(float*) {}

}  // namespace

TEST_CASE("emulator: barriers that not all threads reach", "[emulated]") {
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK_THAT(complaint(half_at_a_barrier, 64),
               Contains("faulty: block (0, 0, 0): divergent barrier"));
    CHECK_THAT(complaint(at_different_barriers, 64),
               Contains("divergent barrier") && Contains("emulator_faults_test.cpp:"));
    CHECK_THAT(complaint(returns_before_a_barrier, 64),
               Contains("divergent barrier") && Contains("thread 5"));
    CHECK(complaint(does_nothing, 64).empty());
  }
  set_thread_order(0);
}

TEST_CASE("emulator: warp operations whose lanes disagree", "[emulated]") {
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK_THAT(complaint(shuffles_without_a_lane, 32),
               Contains("__shfl_xor_sync") || Contains("divergent warp"));
    CHECK_THAT(complaint(different_shuffles, 32), Contains("divergent warp"));
    CHECK_THAT(complaint(shuffles_outside_its_mask, 32), Contains("is not in its own mask"));
    CHECK_THAT(complaint(shuffles_without_a_lane, 20),
               Contains("__shfl_xor_sync") || Contains("divergent warp"));
  }
  set_thread_order(0);
}

TEST_CASE("emulator: asynchronous copies and vector accesses", "[emulated]") {
  const DeviceArray<float> memory(64);
  CHECK_THAT(complaint(never_waits_for_its_copy, 1, 0, memory.data()),
             Contains("never waited for"));
  CHECK_THAT(complaint(misaligned_copy, 1, 0, memory.data()), Contains("multiples of 16"));
  CHECK_THAT(complaint(copy_past_shared_memory, 1, 0, memory.data()),
             Contains("not within a piece of shared memory"));
  CHECK_THAT(complaint(misaligned_load, 1, 0, memory.data()), Contains("no multiple of 8"));
  CHECK_THAT(complaint(matrix_of_global_memory, 32, 0, memory.data()),
             Contains("ldmatrix") && Contains("not within a piece of shared memory"));
}

TEST_CASE("emulator: limits of launches and of shared memory", "[emulated]") {
  CHECK_THAT(complaint(takes_more_than_launched, 1, 256), Contains("launched with 256"));
  CHECK_THAT(complaint(takes_different_pieces, 2, 256),
             Contains("piece 0 of dynamic shared memory"));
  CHECK_THAT(complaint(does_nothing, 1025), Contains("1 to 1024 threads"));
  CHECK_THAT(complaint(does_nothing, 0), Contains("1 to 1024 threads"));
  CHECK_THAT(complaint(does_nothing, dim3(1, 1, 65)), Contains("1 to 1024 threads"));
  CHECK(complaint(does_nothing, 1, 227 * 1024).empty());
  emulator::settings().shared_limit = 99 * 1024;
  CHECK_THAT(complaint(does_nothing, 1, 100 * 1024), Contains("this device gives a block 101376"));
  emulator::settings().shared_limit = 227 * 1024;
  CHECK_THROWS_WITH(launch({"empty", 0, 32}, test_stream(), does_nothing, nullptr),
                    Contains("the grid is empty"));
  CHECK_THROWS_WITH(launch({"tall", dim3(1, 65536), 32}, test_stream(), does_nothing, nullptr),
                    Contains("the grid is too large"));
  CHECK_THROWS_WITH(launch({"null", 1, 32}, nullptr, does_nothing, nullptr),
                    Contains("on the null stream"));
}

namespace {

__global__ void reads_before_the_wait(float* out, const float* in) {
  GPU_SHARED(float, tile, [4]);
  copy_async16(tile, in);
  commit_copies();
  const float early = tile[0];
  wait_copies<0>();
  out[0] = early;
  out[1] = tile[0];
}

__global__ void reads_shared_memory_it_never_wrote(float* out, const float*) {
  GPU_SHARED(float, fixed, [4]);
  SharedPieces pieces;
  out[0] = fixed[0];
  out[1] = pieces.take<float>(4)[3];
}

// A sum through shared memory that lacks the barrier between writing and reading.
__global__ void sum_without_a_barrier(float* out, const float* in) {
  GPU_SHARED(float, tile, [64]);
  tile[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

}  // namespace

TEST_CASE("emulator: what is not there yet is NaN", "[emulated]") {
  const DeviceArray<float> out(64), in(std::vector<float>(64, 1.5f));
  launch({"early", 1, 1}, test_stream(), reads_before_the_wait, out.data(),
         static_cast<const float*>(in.data()));
  CHECK(std::isnan(out.read()[0]));
  CHECK(out.read()[1] == 1.5f);
  launch({"unwritten", 1, 1, 16}, test_stream(), reads_shared_memory_it_never_wrote, out.data(),
         static_cast<const float*>(in.data()));
  CHECK(std::isnan(out.read()[0]));
  CHECK(std::isnan(out.read()[1]));
}

TEST_CASE("emulator: a missing barrier changes the result with the order of threads",
          "[emulated]") {
  const DeviceArray<float> out(64), in(std::vector<float>(64, 1.0f));
  int wrong = 0;
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    launch({"racy", 1, 64}, test_stream(), sum_without_a_barrier, out.data(),
           static_cast<const float*>(in.data()));
    for (const float value : out.read()) wrong += value == 1.0f ? 0 : 1;
  }
  set_thread_order(0);
  CHECK(wrong > 0);
}

}  // namespace masque::test
