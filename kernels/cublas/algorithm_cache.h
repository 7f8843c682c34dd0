// Which algorithm of cublasLt each product uses: found once a shape, kept on disk for this GPU and
// this cublasLt (in $XDG_CACHE_HOME/masque or ~/.cache/masque), so that later processes start fast
// and repeat the same bits.
#pragma once

#include <cublasLt.h>

#include <istream>
#include <map>
#include <optional>
#include <string>

namespace masque {

class AlgorithmCache {
 public:
  AlgorithmCache();  // of the current device

  std::optional<cublasLtMatmulAlgo_t> find(const std::string& product) const;
  // A cache that cannot be written serves this process only.
  void add(const std::string& product, const cublasLtMatmulAlgo_t& algorithm);

  std::string record() const;
  bool use(const std::string& record);  // for this process; false where it is of another machine

 private:
  void read(std::istream& lines);

  std::string machine_;  // GPU and version of cublasLt
  std::string path_;
  std::map<std::string, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace masque
