# shellcheck shell=bash
# All processes of the cluster are below one cgroup in every hierarchy: the components in /system,
# containers in /kubepods. So all of them are found and killed without relying on a file, and none
# belongs to the login that happened to start the cluster.

GROUP=faas-devcluster

hierarchies() {
  local dir
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    for dir in /sys/fs/cgroup/*/; do
      dir=${dir%/}
      if [ ! -L "$dir" ] && [ -e "$dir/cgroup.procs" ]; then echo "$dir"; fi
    done
  fi
}

make_cgroups() {
  local root dir
  for root in $(hierarchies); do
    for dir in "$root/$GROUP" "$root/$GROUP/system"; do
      mkdir -p "$dir"
      # Version 1: a new cpuset is empty, and takes no process until it is not.
      if [ -e "$dir/cpuset.cpus" ] && [ ! -e "$root/cgroup.controllers" ]; then
        cat "$root/cpuset.cpus" >"$dir/cpuset.cpus"
        cat "$root/cpuset.mems" >"$dir/cpuset.mems"
      fi
    done
  done
}

enter_cgroups() {
  local root
  for root in $(hierarchies); do
    echo "$BASHPID" >"$root/$GROUP/system/cgroup.procs"
  done
}

processes() { # [system]: every process of the cluster, or of its components alone
  local root
  for root in $(hierarchies); do
    [ ! -d "$root/$GROUP" ] || find "$root/$GROUP${1:+/$1}" -name cgroup.procs -exec cat {} + 2>/dev/null
  done | sort -un
}

# Process 1 of the cluster's namespace, by the number it has here; nothing if there is none.
init_pid() {
  local pid
  for pid in $(processes system); do
    if awk '/^NSpid:/ { found = NF == 3 && $3 == 1 } END { exit !found }' "/proc/$pid/status" 2>/dev/null; then
      echo "$pid"
      return
    fi
  done
}

# The kernel kills a namespace with its first process; so nobody can fork away.
kill_all() {
  local pids _
  for _ in $(seq 100); do
    mapfile -t pids < <(processes)
    [ ${#pids[@]} -gt 0 ] || return 0
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
  die "these processes do not end: ${pids[*]}"
}

remove_cgroups() {
  local root _
  for root in $(hierarchies); do
    for _ in $(seq 50); do
      [ -d "$root/$GROUP" ] || break
      find "$root/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
    [ ! -d "$root/$GROUP" ] || die "cannot remove $root/$GROUP"
  done
}
