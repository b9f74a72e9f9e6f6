#!/usr/bin/env bash
# Run a command where windows can be drawn: .ci/with_display.sh COMMAND...
#
# With a display, and outside Linux, the command just runs. On Linux without one it runs in Xvfb
# with Mesa's software OpenGL. Qt's "offscreen" platform is no substitute: it has no OpenGL, and
# every canvas stays black without an error.
#
#   --check   only see to it that a display can be had, and say what is missing
set -euo pipefail

packages=(xvfb xauth libegl1 libgl1 libgl1-mesa-dri libglx-mesa0 libopengl0 libxkbcommon-x11-0
    libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-xinerama0 libdbus-1-3 libxcb-shape0)
libraries=(libEGL.so.1 libGL.so.1 libGLX_mesa.so.0 libOpenGL.so.0 libxkbcommon-x11.so.0
    libxcb-cursor.so.0 libxcb-icccm.so.4 libxcb-keysyms.so.1 libxcb-xinerama.so.0
    libxcb-shape.so.0 libdbus-1.so.3)

missing() {
    local program library known
    for program in Xvfb xvfb-run xauth; do
        command -v "$program" >/dev/null || echo "$program"
    done
    known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
    for library in "${libraries[@]}"; do
        [[ $known == *"$library"* ]] || echo "$library"
    done
    compgen -G '/usr/lib*/*/dri/*' >/dev/null || compgen -G '/usr/lib*/dri/*' >/dev/null ||
        echo "Mesa's software driver"
}

# Two runs at once: the second waits for the first instead of failing at a held lock. The option
# waits for dpkg's lock, and only flock for that of the lists. Let go when this is done.
install_with_apt() (
    exec 8>/var/lock/with_display
    flock -w 120 8 || true
    [[ -z $(missing) ]] && exit
    wait=(-o DPkg::Lock::Timeout=120)
    apt-get "${wait[@]}" update -qq >&2 && DEBIAN_FRONTEND=noninteractive \
        apt-get "${wait[@]}" install -y -qq --no-install-recommends "${packages[@]}" >&2
)

install_missing() {
    local lacking
    lacking=$(missing)
    [[ -z $lacking ]] && return
    echo "No display here, and to make one these are missing:" $lacking >&2
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "Installing them with apt-get." >&2
        if install_with_apt && [[ -z $(missing) ]]; then
            return
        fi
    fi
    echo "Please install them (Debian, Ubuntu; elsewhere the packages of the same purpose):" >&2
    echo "  sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    return 1
}

if [[ $(uname) != Linux || -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; then
    [[ ${1:-} == --check ]] || exec "$@"
    exit 0
fi

install_missing
[[ ${1:-} == --check ]] && exit 0

XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
unset QT_QPA_PLATFORM
export TOMODRGN_VIRTUAL_DISPLAY=1
xvfb-run -a -s "-screen 0 1920x1200x24 +extension GLX" "$@"
