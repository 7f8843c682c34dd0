# Installs Debian packages: sourced by apps/quickstart.sh and tests/run.sh.

build_packages=(cmake ninja-build g++ libfmt-dev libcli11-dev nlohmann-json3-dev curl
  ca-certificates git)

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# install_packages NAME…: installs those that are missing, as root or through sudo.
# MASQUE_PACKAGES=no leaves packages alone, for systems that are not Debian.
install_packages() {
  if [ "${MASQUE_PACKAGES:-yes}" = no ]; then return; fi
  if ! command -v apt-get dpkg-query > /dev/null; then
    fail "no apt-get here: install what Debian calls $*, then run again with MASQUE_PACKAGES=no"
  fi
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$name" 2> /dev/null | grep -qx installed \
      || missing+=("$name")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    echo "Debian packages: all $# are there."
    return
  fi

  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo > /dev/null; then
      fail "missing Debian packages, and neither root nor sudo here: as root, run" \
        "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    apt=(sudo "${apt[@]}")
  fi
  echo "Debian packages: installing ${missing[*]}"
  local log install
  log=$(mktemp)
  install=("${apt[@]}" install -y -q --no-install-recommends "${missing[@]}")
  # A fresh image has no package lists, an old one has stale ones: both are mended by an update.
  if ! "${install[@]}" > "$log" 2>&1; then
    if ! { "${apt[@]}" update -q && "${install[@]}"; } > "$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      fail "could not install ${missing[*]}: see above"
    fi
  fi
  rm -f "$log"
}
