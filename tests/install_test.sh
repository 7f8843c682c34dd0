#!/usr/bin/env bash
# Installs a build, and with nothing but what is installed: reads every header, builds and runs the
# program of docs/library.md, and looks into the Debian package. Usage: install_test.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
prefix=$box/prefix
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")

fail() {
  echo "install_test: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$prefix" > "$box/installed"
for file in bin/masque bin/masque-bench share/masque/presets/tiny.json share/doc/masque/copyright \
  share/doc/masque/docs/library.md share/man/man1/masque-train.1.gz; do
  [ -f "$prefix/$file" ] || fail "$file is not installed"
done
"$prefix/bin/masque" --version

# Each header by its new name, and what it includes: no name of the source tree is left.
mkdir "$box/headers"
(cd "$prefix/include" && find masque -name '*.h' | sort | sed 's/.*/#include "&"/') > "$box/headers/all.cpp"
grep -q 'masque/models/trainer.h' "$box/headers/all.cpp"
"$compiler" -std=c++20 -fsyntax-only -Wall -Werror -I "$prefix/include" "$box/headers/all.cpp"
! grep -rnE '#include "(kernels|core|models)/' "$prefix/include" || fail "a header includes by its old name"

# The program: at most 40 lines, built by its own CMakeLists.txt.
block() { awk -v begin="\`\`\`$1" '$0 == begin {on = 1; next} /^```/ {on = 0} on' docs/library.md; }
mkdir "$box/example"
block cmake > "$box/example/CMakeLists.txt"
block cpp > "$box/example/example.cpp"
lines=$(wc -l < "$box/example/example.cpp")
[ "$lines" -le 40 ] || fail "the program of docs/library.md has $lines lines"
cmake -S "$box/example" -B "$box/example/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON > "$box/configured" || { cat "$box/configured"; fail "does not configure"; }
cmake --build "$box/example/build"
! grep -E -- '-m(arch|avx|fma)|-W|-f(openmp|no-)' "$box/example/build/compile_commands.json" \
  || fail "the libraries pass flags on"

"$prefix/bin/masque" data synth "$box/text.txt" --chars 40000 --seed 1 > "$box/synth" 2>&1
"$box/example/build/example" "$box/text.txt" | tee "$box/said"
grep -qE '^llada: val ≤ [0-9.]+ nats a token$' "$box/said" || fail "no bound of LLaDA"
# Both have learned: a uniform guess of this text's 40 or so characters costs 3.7 nats.
awk '/^ar: val = / {if ($4 > 2.5) exit 1; seen = 1} END {if (!seen) exit 1}' "$box/said" \
  || fail "AR has not learned"
if "$box/example/build/example" "$box/missing.txt" 2> "$box/refused"; then fail "a missing text was read"; fi
grep -q 'cannot read .*missing.txt' "$box/refused" || fail "a missing text is not named"

if ! command -v dpkg-shlibdeps > /dev/null; then
  echo "no dpkg-shlibdeps here: the Debian package was not made"
  exit 0
fi
(cd "$build" && cpack -B "$box/package" > "$box/packed") || { cat "$box/packed"; fail "cpack failed"; }
package=$(echo "$box"/package/masque_*_*.deb)
dpkg-deb --info "$package" | tee "$box/info"
for field in 'Package: masque' 'Version: 0.1.0' 'Depends: .*libc6.*libfmt' 'Section: science' \
  'Description: masked diffusion'; do
  grep -q "^ $field" "$box/info" || fail "the package lacks $field"
done
dpkg-deb --contents "$package" > "$box/contents"
for file in usr/bin/masque usr/lib/cmake/masque/masque-config.cmake usr/include/masque/models/trainer.h \
  usr/share/doc/masque/changelog.gz; do
  grep -q "root/root .* ./$file" "$box/contents" || fail "the package has no $file of root"
done
if command -v lintian > /dev/null; then  # the maintainer has no address until masque has a home
  lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$package"
fi
echo "1 installation, 1 program of $lines lines, 1 package"
