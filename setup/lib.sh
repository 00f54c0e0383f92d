# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Helpers of the set-up scripts: messages, package installs, the Debian mirror of this machine, one set-up at a time.

setup_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # read by the scripts that source this file
project_dir=$(dirname "$setup_dir")

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
  printf 'setup: %s\n' "$1" >&2
  exit "${2:-5}"
}

# need_root WHAT: end with a clear message when WHAT needs root and we are not.
need_root() {
  [ "$(id -u)" = 0 ] || die "$1 needs root; run the same command as root, or do it by hand and start again"
}

# one_at_a_time WHAT: wait until no other set-up of WHAT works on this machine (bounded), then go on alone.
one_at_a_time() {
  local lock
  lock=${TMPDIR:-/tmp}/testcell-$1-$(id -u).lock
  exec 9>"$lock"
  flock -w 900 9 || die "another set-up still holds $lock after 900 s"
}

# apt_install PACKAGE...: install packages without their recommendations, with new package lists where the present ones do not do.
apt_install() {
  command -v apt-get >/dev/null || die "apt-get is absent: install $* with the tools of this system and start again"
  need_root "installing $*"
  say "installing $*"
  local log
  log=$(mktemp)
  if ! (one_at_a_time apt && { apt_get install "$@" || { apt_get update; apt_get install "$@"; }; }) >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: $*"
  fi
  rm -f "$log"
}

# apt_get ARGUMENT...: run apt-get without questions; RUNLEVEL=1 keeps packages from starting daemons where systemd is not in charge.
apt_get() {
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# debian_mirror: print the address of the Debian archive that this machine's own apt is set to use.
debian_mirror() {
  local uri
  # the Release file of a suite called stable, bookworm, ... of an archive whose path ends in /debian; security and updates are other suites
  # shellcheck disable=SC2016  # apt's own variables
  uri=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 !~ /-/ && $3 == "main" {print $1; exit}')
  [ -n "$uri" ] || return 1
  printf '%s\n' "${uri%/}"
}

# apt_elsewhere DIR SUITE: lay out under DIR an apt of its own for SUITE of this machine's mirror; prints its configuration file.
apt_elsewhere() {
  local dir=$1 suite=$2 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=
  mirror=$(debian_mirror) || return 1
  mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
  [ ! -f "$keyring" ] || signed="[signed-by=$keyring] "
  printf 'deb %s%s %s main\n' "$signed" "$mirror" "$suite" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<EOF
Dir::State "$dir/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$dir/cache";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "-";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
EOF
  printf '%s\n' "$dir/apt.conf"
}

# fetch_compose_v2 FILE: put the Compose V2 plugin of Debian trixie at FILE; the system's packages and sources stay as they are.
fetch_compose_v2() {
  local file=$1 dir config plugin=usr/libexec/docker/cli-plugins/docker-compose
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  dir=$(mktemp -d)
  if config=$(apt_elsewhere "$dir" trixie) &&
    APT_CONFIG=$config apt-get update -qq >"$dir/log" 2>&1 &&
    (cd "$dir" && APT_CONFIG=$config apt-get download -qq docker-compose >>"$dir/log" 2>&1) &&
    dpkg -x "$dir"/docker-compose_*.deb "$dir/root" && [ -x "$dir/root/$plugin" ]; then
    install -D -m 0755 "$dir/root/$plugin" "$file.new" && mv "$file.new" "$file"
  else
    tail -n 5 "$dir/log" >&2 2>/dev/null || true
    rm -rf "$dir"
    return 1
  fi
  rm -rf "$dir"
}
