#!/usr/bin/env bash
# Runs the steps of deploy/Dockerfile without a container engine: each stage in a bare Debian tree made by debootstrap,
# then starts the image's command as its user, on a read-only root, without network and capabilities, and runs its
# health check. Needs root and debootstrap; the builder stage also needs rustc on this machine, which stands for the
# Rust image.
#
#   deploy/check-dockerfile.sh [--binary FILE] [--models FOLDER] [--mirror URL] [WORK]
#
#   --binary FILE    leave the builder stage out and take this program as its result
#   --models FOLDER  leave the models stage out and take this model folder as its result
#   --mirror URL     where debootstrap fetches Debian from, unless from where it does by itself
#   WORK             where the trees lie (default: a temporary folder, removed at the end)
#
# Understands what this Dockerfile uses: FROM, RUN, COPY, ENV, WORKDIR, USER, HEALTHCHECK, ENTRYPOINT, CMD (the last
# three in their JSON form). Anything else that changes an image is an error.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
context=$(dirname "$here")
dockerfile=$here/Dockerfile
binary='' models='' work='' mirror=''
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$(realpath "$2"); shift 2 ;;
        --models) models=$(realpath "$2"); shift 2 ;;
        --mirror) mirror=$2; shift 2 ;;
        -*) echo "unknown option $1" >&2; exit 2 ;;
        *) work=$1; shift ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "needs root: chroot and mounts" >&2; exit 2; }

declare -a mounted=()
temporary=''
clean() {
    local i
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}" 2>/dev/null || true; done
    mounted=()
    [ -z "$temporary" ] || rm -rf --one-file-system "$temporary"
}
trap clean EXIT
if [ -z "$work" ]; then temporary=$(mktemp -d) work=$temporary; fi
mkdir -p "$work"
work=$(realpath "$work")

mount_into() { # SOURCE TARGET OPTIONS...
    local source=$1 target=$2; shift 2
    mkdir -p "$target"
    mount "$@" "$source" "$target"
    mounted+=("$target")
}

base() { # the tree that stands for an image
    local image=$1 tree=$2
    case $image in debian:bookworm-slim | rust:*-bookworm) ;; *) echo "no stand-in for $image" >&2; exit 1 ;; esac
    if [ ! -e "$work/base/usr/bin/env" ]; then
        debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
            { tail -20 "$work/debootstrap.log" >&2; exit 1; }
        rm -rf "$work/base"/var/cache/apt/archives/*.deb "$work/base"/var/lib/apt/lists/*
        rm -rf "$work/base"/usr/share/{doc,man,locale,info}/*
    fi
    rm -rf "$tree"
    cp -a "$work/base" "$tree"
    cp /etc/resolv.conf "$tree/etc/resolv.conf"
    # A proxy that this machine has to trust is then trusted in the trees too, also after an update of Debian's list there.
    cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
    cp -r /usr/local/share/ca-certificates "$tree/usr/local/share/" 2>/dev/null || true
}

inside() { # runs a shell command in the current stage
    chroot "$tree" /usr/bin/env -i PATH="$path" HOME=/root DEBIAN_FRONTEND=noninteractive ${proxy[@]+"${proxy[@]}"} \
        ${environment[@]+"${environment[@]}"} /bin/sh -c "cd '$folder' && $1"
}

copy() {
    local from=$context arguments=() argument target
    for argument in $1; do
        case $argument in
            --from=*) from=$work/stage-${argument#--from=} ;;
            *) arguments+=("$argument") ;;
        esac
    done
    target=${arguments[-1]}
    case $target in /*) ;; *) target=$folder/$target ;; esac
    unset 'arguments[-1]'
    case $target in */ | */.) mkdir -p "$tree$target" ;; *) mkdir -p "$(dirname "$tree$target")" ;; esac
    for argument in "${arguments[@]}"; do
        # A folder's content goes into the target folder, as Docker does it.
        if [ -d "$from/$argument" ]; then
            mkdir -p "$tree$target"
            cp -a "$from/$argument/." "$tree$target/"
        else
            cp -a "$from/$argument" "$tree$target"
        fi
    done
}

# pip and npm bring certificates of their own unless they are told.
proxy=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name:-}" ] || proxy+=("$name=${!name}")
done

stage='' skipped=0 user=0:0 health='' entrypoint='' command=''
while IFS= read -r line; do
    instruction=${line%% *} rest=${line#* }
    if [ "$instruction" = FROM ]; then
        read -r image _ name <<<"$rest"
        stage=${name:-final}
        tree=$work/stage-$stage folder=/ environment=() user=0:0 skipped=0
        path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        printf '== stage %s from %s (%s s)\n' "$stage" "$image" "$SECONDS"
        if [ "$stage" = builder ] && [ -n "$binary" ]; then
            rm -rf "$tree" && install -D -m 755 "$binary" "$tree/src/target/release/facegate"
            "$context/scripts/licences.py" --features cloud >"$tree/src/THIRD-PARTY.txt"
            echo "   left out: $binary stands for it"; skipped=1; continue
        fi
        if [ "$stage" = models ] && [ -n "$models" ]; then
            rm -rf "$tree" && mkdir -p "$tree/opt/facegate" && cp -a "$models" "$tree/opt/facegate/models"
            rm -rf "$tree/opt/facegate/models/pictures" "$tree/opt/facegate/models/.work"
            echo "   left out: $models stands for it"; skipped=1; continue
        fi
        base "$image" "$tree"
        mount_into proc "$tree/proc" -t proc
        mount_into /dev "$tree/dev" --bind
        case $image in
            rust:*)
                inside 'apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev python3'
                mount_into "$(rustc --print sysroot)" "$tree/opt/rust" --bind -o ro
                path=/opt/rust/bin:$path ;;
        esac
        continue
    fi
    [ "$skipped" = 0 ] || continue
    case $instruction in
        ENV) environment+=("$rest") ;;
        WORKDIR) folder=$rest; mkdir -p "$tree$folder" ;;
        USER) user=$rest ;;
        COPY) printf '   COPY %s\n' "$rest"; copy "$rest" ;;
        RUN) printf '   RUN %s\n' "$rest"; inside "$rest" >"$work/$stage.log" 2>&1 || { tail -30 "$work/$stage.log" >&2; exit 1; } ;;
        HEALTHCHECK) health=${rest#*CMD } ;;
        ENTRYPOINT) entrypoint=$rest ;;
        CMD) command=$rest ;;
        EXPOSE | STOPSIGNAL | LABEL) ;;
        *) echo "cannot do $instruction" >&2; exit 1 ;;
    esac
done < <(sed -e ':join' -e '/\\$/{N;s/\\\n[[:space:]]*//;b join' -e '}' -e '/^[[:space:]]*\(#\|$\)/d' "$dockerfile")

json() { python3 -c 'import json,sys; sys.stdout.buffer.write(b"".join(w.encode() + b"\0" for a in sys.argv[1:] if a for w in json.loads(a)))' "$@"; }
for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[i]}"; done
mounted=()
size=$(du -sm "$tree" | cut -f1)
printf '== final tree: %s MB, of which %s MB are the bare Debian\n' "$size" "$(du -sm "$work/base" | cut -f1)"
[ "$size" -lt 200 ] || { echo "larger than 200 MB" >&2; exit 1; }

printf '== starting it as %s: read-only root, no network, no capabilities\n' "$user"
mapfile -d '' -t start < <(json "$entrypoint" "$command")
mapfile -d '' -t probe < <(json "$health")
{
    printf '%q ' chroot "$tree" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \
        --bounding-set=-all --inh-caps=-all env -i PATH="$path" "${environment[@]}" FACEGATE_USER=check \
        FACEGATE_PASSWORD=check
    printf '\n'
} >"$work/prefix"
{ printf '%q ' "${start[@]}"; printf '\n'; } >"$work/start"
{ printf '%q ' "${probe[@]}"; printf '\n'; } >"$work/probe"
unshare --net --mount --pid --fork --kill-child --propagation private bash -euo pipefail -c '
    work=$1 tree=$2
    ip link set lo up 2>/dev/null || python3 - <<"P"
import fcntl, socket, struct
s = socket.socket()
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
P
    mount --bind "$tree" "$tree" && mount -o remount,bind,ro "$tree"
    mount -t proc -o ro proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    eval "exec $(cat "$work/prefix") $(cat "$work/start")" >"$work/run.out" 2>"$work/run.err" &
    service=$!
    for _ in $(seq 60); do
        if eval "$(cat "$work/prefix") $(cat "$work/probe")" 2>/dev/null; then healthy=1; break; fi
        kill -0 "$service" 2>/dev/null || break
        sleep 0.5
    done
    [ "${healthy:-0}" = 1 ] || { echo "never healthy:" >&2; cat "$work/run.out" "$work/run.err" >&2; exit 1; }
    echo "   healthy"
    if eval "$(cat "$work/prefix") /bin/sh -c '"'"'echo x >/opt/facegate/models/x'"'"'" 2>/dev/null; then echo "the root is not read-only" >&2; exit 1; fi
    echo "   cannot write its root"
    grep -E "^(Uid|CapEff|CapBnd|NoNewPrivs|VmRSS|Threads)" "$tree/proc/$service/status" | sed "s/^/   /"
    kill -TERM "$service"
    wait "$service" && echo "   ended with 0 on SIGTERM"
' check "$work" "$tree"
echo "== passed ($SECONDS s)"
