#!/bin/sh
# Finds the system packages that Ember needs and this Linux lacks. As root it installs them, otherwise it prints the one
# command that does. Silent and quick when nothing is missing.
#
#   system_packages.sh            the libraries that Qt loads, as its plugins in PySide6-Essentials 6.11 name them
#   system_packages.sh --build    also what compiling llama.cpp and making .venv takes
#   system_packages.sh --software-gpu    also what compiling it for Vulkan takes, and Mesa's software device
#
# PYTHON names the interpreter that .venv is made from (default python3); SKIP_SYSTEM_PACKAGES=1 skips all of this.
set -eu

[ "${SKIP_SYSTEM_PACKAGES:-}" = 1 ] && exit 0
build=no software_gpu=no
case ${1:-} in
    '') ;;
    --build) build=yes ;;
    --software-gpu) build=yes software_gpu=yes ;;
    *)
        echo "usage: system_packages.sh [--build | --software-gpu]" >&2
        exit 2
        ;;
esac
python=${PYTHON:-python3}

# Library, then its package on Debian and Ubuntu, on Fedora, on Arch.
libraries='
libEGL.so.1 libegl1 libglvnd-egl libglvnd
libGL.so.1 libgl1 libglvnd-glx libglvnd
libX11.so.6 libx11-6 libX11 libx11
libX11-xcb.so.1 libx11-xcb1 libX11-xcb libx11
libxkbcommon.so.0 libxkbcommon0 libxkbcommon libxkbcommon
libxkbcommon-x11.so.0 libxkbcommon-x11-0 libxkbcommon-x11 libxkbcommon-x11
libxcb.so.1 libxcb1 libxcb libxcb
libxcb-cursor.so.0 libxcb-cursor0 xcb-util-cursor xcb-util-cursor
libxcb-glx.so.0 libxcb-glx0 libxcb libxcb
libxcb-icccm.so.4 libxcb-icccm4 xcb-util-wm xcb-util-wm
libxcb-image.so.0 libxcb-image0 xcb-util-image xcb-util-image
libxcb-keysyms.so.1 libxcb-keysyms1 xcb-util-keysyms xcb-util-keysyms
libxcb-randr.so.0 libxcb-randr0 libxcb libxcb
libxcb-render.so.0 libxcb-render0 libxcb libxcb
libxcb-render-util.so.0 libxcb-render-util0 xcb-util-renderutil xcb-util-renderutil
libxcb-shape.so.0 libxcb-shape0 libxcb libxcb
libxcb-shm.so.0 libxcb-shm0 libxcb libxcb
libxcb-sync.so.1 libxcb-sync1 libxcb libxcb
libxcb-util.so.1 libxcb-util1 xcb-util xcb-util
libxcb-xfixes.so.0 libxcb-xfixes0 libxcb libxcb
libxcb-xkb.so.1 libxcb-xkb1 libxcb libxcb
libwayland-client.so.0 libwayland-client0 libwayland-client wayland
libwayland-cursor.so.0 libwayland-cursor0 libwayland-cursor wayland
libwayland-egl.so.1 libwayland-egl1 libwayland-egl wayland
libdbus-1.so.3 libdbus-1-3 dbus-libs dbus
libfontconfig.so.1 libfontconfig1 fontconfig fontconfig
libfreetype.so.6 libfreetype6 freetype freetype2
libglib-2.0.so.0 libglib2.0-0 glib2 glib2
libgthread-2.0.so.0 libglib2.0-0 glib2 glib2
libgssapi_krb5.so.2 libgssapi-krb5-2 krb5-libs krb5
libbrotlidec.so.1 libbrotli1 libbrotli brotli
libbrotlicommon.so.1 libbrotli1 libbrotli brotli
libzstd.so.1 libzstd1 libzstd zstd
libz.so.1 zlib1g zlib zlib
libstdc++.so.6 libstdc++6 libstdc++ gcc-libs
libgomp.so.1 libgomp1 libgomp gcc-libs
'

missing=

need() { # $1 Debian, $2 Fedora, $3 Arch
    case $family in
        debian) package=$1 ;;
        fedora) package=$2 ;;
        arch) package=$3 ;;
        *) package=$1 ;;
    esac
    case " $missing " in *" $package "*) ;; *) missing="${missing:+$missing }$package" ;; esac
}

find_family() {
    if command -v apt-get >/dev/null 2>&1; then echo debian
    elif command -v dnf >/dev/null 2>&1; then echo fedora
    elif command -v pacman >/dev/null 2>&1; then echo arch
    else echo unknown
    fi
}

find_missing_libraries() {
    # Without the loader's cache (musl, NixOS) nothing can be said, so nothing is claimed.
    ldconfig=$(PATH="$PATH:/usr/sbin:/sbin" command -v ldconfig) || return 0
    case $(uname -m) in
        x86_64) kind=x86-64 ;;
        aarch64) kind=AArch64 ;;
        *) kind= ;;
    esac
    known=$("$ldconfig" -p 2>/dev/null | grep -F "${kind:-=>}") || return 0
    while read -r library debian fedora arch; do
        [ -n "$library" ] || continue
        case $known in *"	$library ("*) ;; *) need "$debian" "$fedora" "$arch" ;; esac
    done <<LIST
$libraries
LIST
}

find_missing_font() {
    home=${HOME:-/nonexistent}
    for folder in /usr/share/fonts /usr/local/share/fonts "$home/.local/share/fonts" "$home/.fonts"; do
        [ -d "$folder" ] || continue
        found=$(find -L "$folder" -name '*.[ot]t[fc]' -print -quit 2>/dev/null) || true
        [ -z "$found" ] || return 0
    done
    [ -z "$(fc-list 2>/dev/null | head -n 1)" ] || return 0
    need fonts-dejavu-core dejavu-sans-fonts ttf-dejavu
}

find_missing_build_tools() {
    # A compiler without the C library's headers compiles nothing, so a program is built rather than a name looked up.
    if ! printf '#include <cstdio>\nint main() { return 0; }\n' | ${CXX:-c++} -x c++ - -o /dev/null 2>/dev/null ||
        ! printf '#include <stdio.h>\nint main(void) { return 0; }\n' | ${CC:-cc} -x c - -o /dev/null 2>/dev/null; then
        need build-essential gcc-c++ base-devel
    fi
    command -v make >/dev/null 2>&1 || need make make make
    # Only the system's own Python can be completed by the system's packages; any other brings its headers along.
    lacking=$("$python" -c '
import importlib.util, os, sys, sysconfig
base = os.path.realpath(sys.executable)
name = "python%d.%d" % sys.version_info[:2]
if base.startswith("/usr/bin/"):
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        print(name + "-dev")
    if importlib.util.find_spec("ensurepip") is None:
        print(name + "-venv")
' 2>/dev/null) || lacking=
    for package in $lacking; do
        case $package in *-dev) need "$package" python3-devel python ;; *) need "$package" python3 python ;; esac
    done
}

find_missing_software_gpu() {
    command -v glslc >/dev/null 2>&1 || need glslc glslc shaderc
    if [ -z "${VULKAN_SDK:-}" ]; then
        [ -e /usr/include/vulkan/vulkan_core.h ] || need libvulkan-dev vulkan-loader-devel vulkan-headers
        [ -e /usr/include/spirv/unified1/spirv.hpp ] || need spirv-headers spirv-headers-devel spirv-headers
    fi
    # Any driver will do; Mesa's brings the software device along.
    [ -n "$(find /usr/share/vulkan/icd.d /etc/vulkan/icd.d -name '*.json' -print -quit 2>/dev/null)" ] ||
        need mesa-vulkan-drivers mesa-vulkan-drivers vulkan-swrast
}

find_missing() {
    missing=
    find_missing_libraries
    find_missing_font
    [ "$build" = no ] || find_missing_build_tools
    [ "$software_gpu" = no ] || find_missing_software_gpu
}

install() {
    # Word splitting of $missing is meant: it is a list of package names.
    # shellcheck disable=SC2086
    case $family in
        debian)
            DEBIAN_FRONTEND=noninteractive
            export DEBIAN_FRONTEND
            # A system that is just updating itself holds the lock for a while.
            apt="apt-get -o DPkg::Lock::Timeout=120"
            $apt install -y --no-install-recommends $missing ||
                { $apt update && $apt install -y --no-install-recommends $missing; }
            ;;
        fedora) dnf install -y $missing ;;
        arch) pacman -S --needed --noconfirm $missing || pacman -Sy --needed --noconfirm $missing ;;
    esac </dev/null
}

family=$(find_family)
find_missing
[ -n "$missing" ] || exit 0

case $family in
    debian) command="apt-get install -y $missing" ;;
    fedora) command="dnf install -y $missing" ;;
    arch) command="pacman -S --needed $missing" ;;
    *)
        # Not a system that this script knows: say what to look for, and let the set-up try.
        echo "Ember: these packages (named as on Debian) seem to be missing, and this script does not know how to" \
            "install them here: $missing" >&2
        exit 0
        ;;
esac

if [ "$(id -u)" != 0 ]; then
    echo "Ember: some system packages are missing. This command installs them; then run the same again:" >&2
    echo "    sudo $command" >&2
    exit 1
fi

echo "Ember: installing system packages: $missing" >&2
wanted=$missing
if ! install >&2; then
    echo "Ember: the system packages could not be installed. This is the command that failed:" >&2
    echo "    $command" >&2
    exit 1
fi
find_missing
if [ -n "$missing" ]; then
    echo "Ember: still missing after installing $wanted: $missing. Ember may not start until they are there." >&2
fi
