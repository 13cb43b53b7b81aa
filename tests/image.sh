#!/usr/bin/env bash
# Builds the container image from the Dockerfile and runs it: as another user than root, on a read-only root, without a
# shell. Needs root and Debian, but neither a container engine nor a registry of images: the base images are made from
# Debian's packages and this machine's Rust.
#
# Missing system packages are installed where this user may; else they are named.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "tests/image.sh: $*" >&2; exit 1; }
step() { printf '\n-- %s (%s s)\n' "$1" "$SECONDS"; }

[ "$(id -u)" = 0 ] || fail "needs root: it makes root file systems"
command -v apt-get >/dev/null || fail "needs Debian; elsewhere: docker build ."
command -v cargo >/dev/null || fail "please install Rust: https://rustup.rs"

missing=()
for tool in buildah debootstrap ip:iproute2; do
  command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "please install: ${missing[*]}"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/dingsync-image.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

# A store of its own: what this machine's user has there stays untouched, and nothing remains.
export CONTAINERS_STORAGE_CONF="$work/storage.conf" BUILDAH_ISOLATION=chroot
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "vfs"
graphroot = "$work/storage"
runroot = "$work/run"
CONF
cat >"$work/policy.json" <<<'{"default": [{"type": "insecureAcceptAnything"}]}'

step "base images"
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
# The mirror that this machine is set up with; apt knows it once it has its lists.
mirror() {
  # shellcheck disable=SC2016 # They are for apt-get.
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$codename" '$2 == codename && $3 == "main" { print $1; exit }'
}
[ -n "$(mirror)" ] || apt-get update -qq
mirror=$(mirror)
[ -n "$mirror" ] || fail "/etc/apt names no source for $codename"
debootstrap --variant=minbase "$codename" "$work/root" "$mirror" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; fail "debootstrap"; }
(cd "$work/root/var" && rm -rf cache/apt/* lib/apt/lists/*)

base=$(buildah from --signature-policy "$work/policy.json" scratch)
buildah copy --quiet "$base" "$work/root" / >/dev/null
rm -rf "$work/root"
buildah commit --quiet --signature-policy "$work/policy.json" "$base" localhost/runtime >/dev/null
buildah run "$base" -- apt-get update -qq
buildah run "$base" -- env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends ca-certificates gcc libc6-dev >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; fail "apt-get"; }
# The tool chain and the crates are lent to the build, not copied. What the crates were fetched with stays outside.
cargo fetch --locked --quiet
sysroot=$(rustc --print sysroot)
crates="${CARGO_HOME:-$HOME/.cargo}/registry"
buildah config --env CARGO_HOME=/usr/local/cargo --env CARGO_NET_OFFLINE=true \
  --env PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin "$base"
buildah commit --quiet --rm --signature-policy "$work/policy.json" "$base" localhost/build >/dev/null

step "image"
# Docker's format: the other one has no place for a health check.
nice buildah build --quiet --format docker --pull-never --signature-policy "$work/policy.json" \
  --build-arg BUILD_IMAGE=localhost/build --build-arg RUNTIME_IMAGE=localhost/runtime \
  --volume "$sysroot:/usr/local/rust:ro" --volume "$crates:/usr/local/cargo/registry" \
  --tag localhost/dingsync . >"$work/log" 2>&1 || { tail -30 "$work/log" >&2; fail "the image cannot be built"; }

inspect() { buildah inspect --type image --format "$1" localhost/dingsync; }
expect() { # what, wanted, found
  [ "$2" = "$3" ] || fail "$1: $2 was expected, $3 was found"
  echo "$1: $3"
}
expect "user" 65532:65532 "$(inspect '{{.Docker.Config.User}}')"
expect "entry point" "[/usr/local/bin/dingsync] [serve]" "$(inspect '{{.Docker.Config.Entrypoint}} {{.Docker.Config.Cmd}}')"
expect "health check" "[CMD /usr/local/bin/dingsync health]" "$(inspect '{{.Docker.Config.Healthcheck.Test}}')"
buildah images --format '{{.Name}}: {{.Size}}' | grep -E '/(runtime|dingsync):'

step "demo"
container=$(buildah from --pull-never --signature-policy "$work/policy.json" localhost/dingsync)
expect "uid of a process" 65532 "$(buildah run "$container" -- id -u)"
buildah run "$container" -- /usr/local/bin/dingsync demo --for 10s | tail -3

step "demo and daemon on a read-only root, without network, shell or any other program"
root=$(buildah mount "$container")
# What remains beside the program is what its loader needs.
rm -rf "${root:?}"/{bin,sbin,usr/bin,usr/sbin}/*
mapfile -t environment < <(inspect '{{range .Docker.Config.Env}}{{println .}}{{end}}' | grep .)
cat >"$work/inside" <<'INSIDE'
# In name spaces of its own, which end with it.
set -euo pipefail
root=$1 environment=("${@:2}")
mount --bind "$root" "$root"
mount --bind "$root/data" "$root/data"
mount -o remount,bind,ro "$root"
ip link set lo up
if touch "$root/etc/written" 2>/dev/null; then echo "the root is not read-only" >&2; exit 1; fi

# As the engine would: the image's user and no other rights. Each of these programs becomes the next, so that a signal
# for the first one reaches the last.
user=(setpriv --clear-groups --no-new-privs unshare --root="$root" --wd=/data --setgid 65532 --setuid 65532)
dingsync() { env -i "${environment[@]}" "${user[@]}" /usr/local/bin/dingsync "$@"; }

dingsync demo --for 10s | tail -3

# A DingTalk out of reach is enough for a daemon that lives.
environment+=(DINGSYNC_CORPS__MAIN__{CORP_ID,APP_KEY,APP_SECRET}=ding)
environment+=(DINGSYNC_CORPS__MAIN__{OAPI,API}_URL=http://127.0.0.1:9 DINGSYNC_LOG__LEVEL=error)
if dingsync health 2>/dev/null; then echo "a daemon that does not run is well" >&2; exit 1; fi
env -i "${environment[@]}" "${user[@]}" /usr/local/bin/dingsync serve &
daemon=$!
for _ in {1..50}; do
  if dingsync health >/dev/null 2>&1; then break; fi
  sleep 0.2
done
dingsync health
[ "$(stat -c %u:%g "$root/data/dingsync.db")" = 65532:65532 ]
kill "$daemon"
wait "$daemon"
echo "the daemon lived, said so, and stopped"
INSIDE
unshare --mount --net --pid --fork --kill-child bash "$work/inside" "$root" "${environment[@]}"

step "done"
