#!/bin/sh
# Debian packages that the tests and the benchmarks need, and a private sendmail.
#   debian.sh test|bench|venv
#
# An MTA that is there is never removed, replaced or reconfigured: Postfix is installed only where no
# mail-transport-agent is, and sendmail is unpacked into var/sendmail of this checkout, not installed.
# No daemon is started. What cannot be had is said, and the tests that need it then say so as well.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

sendmail_root=$PWD/var/sendmail
sendmail_binary=$sendmail_root/usr/libexec/sendmail/sendmail

warn() { printf '%s\n' "*** $*" >&2; }
installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v apt-get >/dev/null; then
    warn "This is not Debian: install postfix, sendmail, m4, swaks, unbound, dig, ip and ps yourself; their tests may be skipped."
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    root() { env "$@"; }
elif sudo -n true 2>/dev/null; then
    root() { sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; }
else
    root() { return 1; }
fi

updated=
update() {
    [ -z "$updated" ] || return 1
    updated=yes
    root apt-get -qq update >/dev/null 2>&1
}

# A package manager that starts no daemon: Debian's own hook, unless the administrator has one already.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
made_policy=
tidy() {
    rm -f "$log"
    [ -z "$made_policy" ] || root rm -f $policy
}
trap tidy EXIT
install_quietly() {
    if ! [ -e $policy ]; then
        printf "#!/bin/sh\nexit 101\n" | root tee $policy >/dev/null
        root chmod 755 $policy
        made_policy=yes
    fi
    root apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" >"$log" 2>&1
}

install() {
    missing=
    for package in "$@"; do installed "$package" || missing="$missing $package"; done
    [ -n "$missing" ] || return 0
    echo "Debian packages:$missing"
    # shellcheck disable=SC2086 # a list of words
    install_quietly $missing || { update && install_quietly $missing; } || {
        tail -n 5 "$log" >&2
        warn "could not install$missing (root or sudo, and a package source, are needed)"
    }
}

has_mta() {
    dpkg-query -W -f='${db:Status-Status} ${Provides}\n' 2>/dev/null | grep -q '^installed .*mail-transport-agent' ||
        [ -e /usr/sbin/sendmail ]
}

install_postfix() {
    installed postfix && return
    if has_mta; then
        warn "another MTA is installed here and stays: the tests with Postfix cannot run"
        return
    fi
    echo "postfix postfix/main_mailer_type select Local only" | root debconf-set-selections 2>/dev/null || :
    install postfix
}

download_sendmail() { (cd "$sendmail_root/debs" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download sendmail-bin sendmail-base sendmail-cf) >"$log" 2>&1; }

unpack_sendmail() {
    install m4 libwrap0 liblockfile1 libldap-2.5-0 libnsl2 libsasl2-2 libsasl2-modules
    if ! [ -e "$sendmail_root/.complete" ]; then
        echo "sendmail: unpacking it into var/sendmail"
        rm -rf "$sendmail_root"
        mkdir -p "$sendmail_root/debs"
        download_sendmail || { update && download_sendmail; } || {
            tail -n 5 "$log" >&2
            warn "could not download sendmail: its tests cannot run"
            return
        }
        for package in "$sendmail_root"/debs/*.deb; do dpkg -x "$package" "$sendmail_root"; done
        rm -rf "$sendmail_root/debs"
        touch "$sendmail_root/.complete"
    fi
    if ldd "$sendmail_binary" | grep 'not found' >&2; then
        warn "sendmail lacks these libraries: its tests cannot run"
    fi
}

case $1 in
test)
    install procps swaks bind9-dnsutils iproute2 unbound postsrsd rbldnsd
    install_postfix
    unpack_sendmail
    ;;
bench) install gcc libc6-dev make python3-dev libmilter-dev procps dnsperf rbldnsd ;;
venv) install python3-venv python3-dev gcc ;;
*)
    sed -n '2,4p' "$0" >&2
    exit 64
    ;;
esac
