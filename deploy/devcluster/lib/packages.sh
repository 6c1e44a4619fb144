# shellcheck shell=bash
# What comes from Debian.

install_packages() {
  local missing=() command package
  while read -r command package; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("$package")
  done <<LIST
etcd etcd-server
containerd containerd
runc runc
/usr/lib/cni/ptp containernetworking-plugins
iptables iptables
conntrack conntrack
buildah buildah
debootstrap debootstrap
jq jq
unzip unzip
socat socat
busybox busybox-static
ip iproute2
openssl openssl
mount mount
cc gcc
LIST
  [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (names of Debian's packages), and there is no apt-get to install them"
  step "installing ${missing[*]}"
  apt_install "${missing[@]}"
}

# Nothing that a package brings is started or enabled as a service of the machine: a policy says
# no for the time of the installation, and goes however that ends.
apt_install() (
  policy=/usr/sbin/policy-rc.d log=$CACHE/log/apt.log
  mkdir -p "$CACHE/log"
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1 ||
    failed_build "the packages" "$log"
  [ -d /run/systemd/system ] || exit 0
  for package in "$@"; do
    case $package in
      etcd-server) systemctl --quiet disable etcd || true ;;
      containerd) systemctl --quiet disable containerd || true ;;
    esac
  done
)
