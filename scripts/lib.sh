# lib.sh - what the scripts of this directory share (POSIX sh, sourced)
#
# Sets `top` to the top of the tree. Every function prints to stderr what it
# does when that can take longer than a second, and names the Debian package
# that is missing when something cannot be had.

# shellcheck disable=SC2034
top=$(cd "$(dirname "$0")/.." && pwd)

# say TEXT... - a progress line
say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die TEXT... - an error line, then exit 1
die()
{
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# usage - what the head of the script says of it
usage()
{
	sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

# is_root - true for the superuser
is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# jobs - how many compilers to run at once
jobs_count()
{
	echo "${JOBS:-$(nproc 2>/dev/null || echo 2)}"
}

# package_present NAME - true if the Debian package is installed
package_present()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# packages_missing NAME... - print those of the packages that are not installed
packages_missing()
{
	command -v dpkg-query >/dev/null 2>&1 || return 0
	for p_name; do
		package_present "$p_name" || printf '%s ' "$p_name"
	done
}

# apt_install NAME... - install as root; waits for another apt, refreshes the
# package lists once if the first try fails (fresh images come without lists)
apt_install()
{
	apt_run="env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600"
	apt_run="$apt_run --no-install-recommends install"
	$apt_run "$@" >/dev/null 2>&1 && return 0
	apt-get -q -y -o DPkg::Lock::Timeout=600 update >/dev/null 2>&1 || :
	$apt_run "$@" >&2
}

# need_packages NAME... - have these Debian packages: installs what is missing
# as root, otherwise says what to install and exits 1. On a system without
# dpkg nothing is done: the tools themselves will say what they miss.
need_packages()
{
	np_list=$(packages_missing "$@")
	[ -n "$np_list" ] || return 0
	if ! is_root; then
		die "missing packages: ${np_list% }
  install them as root with:  apt-get install ${np_list% }"
	fi
	say "installing packages: ${np_list% }"
	# shellcheck disable=SC2086
	apt_install $np_list || die "cannot install: ${np_list% }"
}

# want_packages NAME... - like need_packages, but only tries: returns 1 when
# some package cannot be had (tests that use it then skip and say so)
want_packages()
{
	wp_list=$(packages_missing "$@")
	[ -n "$wp_list" ] || return 0
	is_root || return 1
	say "installing packages: ${wp_list% }"
	# shellcheck disable=SC2086
	apt_install $wp_list >/dev/null 2>&1
}

# source_lists DIR [TYPE [SUITE]] - write into DIR/sources.d the deb-src (or
# TYPE) twins of the system's own sources: the entries for this release
# (codename or codename-*) that have the component main; with SUITE that suite
# instead, of the archives that carry the release itself. The keyring that an
# entry names stays. Third-party archives are left alone.
source_lists()
{
	sl_type=${2:-deb-src}
	sl_want=${3:-}
	mkdir -p "$1/sources.d" "$1/lists/partial" "$1/cache/archives/partial"
	rm -f "$1"/sources.d/*
	sl_code=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
	for sl_file in /etc/apt/sources.list.d/*.sources; do
		[ -f "$sl_file" ] || continue
		awk -v code="$sl_code" -v type="$sl_type" -v want="$sl_want" '
			function flush_stanza() {
				if (main && suite && !off)
					printf "%s\n", text
				text = ""; main = suite = off = 0
			}
			/^#/ { next }
			/^[ \t]*$/ { flush_stanza(); next }
			tolower($1) == "types:" { text = text "Types: " type "\n"; next }
			tolower($1) == "architectures:" { next }
			tolower($1) == "enabled:" && tolower($2) ~ /^(no|false|off|0)$/ { off = 1 }
			tolower($1) == "components:" { for (i = 2; i <= NF; i++) if ($i == "main") main = 1 }
			tolower($1) == "suites:" {
				for (i = 2; i <= NF; i++)
					if ($i == code || (want == "" && index($i, code "-") == 1) ||
						$i ~ /^(stable|testing|unstable|sid)$/)
						suite = 1
				if (want != "")
					$0 = "Suites: " want
			}
			{ text = text $0 "\n" }
			END { flush_stanza() }' "$sl_file" \
			>"$1/sources.d/$(basename "$sl_file")"
	done
	for sl_file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$sl_file" ] || continue
		awk -v code="$sl_code" -v type="$sl_type" -v want="$sl_want" '
			$1 != "deb" { next }
			{
				line = $0
				sub(/^deb[ \t]+/, "", line)
				opts = ""
				if (line ~ /^\[/) {
					opts = substr(line, 1, index(line, "]"))
					line = substr(line, index(line, "]") + 1)
					gsub(/arch=[^] \t]*/, "", opts)
					if (opts ~ /^\[[ \t]*\]$/) opts = ""
				}
				n = split(line, f, /[ \t]+/); b = f[1] == "" ? 2 : 1
				main = 0
				for (i = b + 2; i <= n; i++) if (f[i] == "main") main = 1
				s = f[b + 1]; sub(/\/updates$/, "", s)
				if (!main || !(s == code || (want == "" && index(s, code "-") == 1) ||
					s ~ /^(stable|testing|unstable|sid)$/))
					next
				print type, opts, want == "" ? line : f[b] " " want " main"
			}' "$sl_file" >"$1/sources.d/$(basename "$sl_file")"
	done
	find "$1/sources.d" -size 0 -delete
}

# private_apt DIR ARGS... - apt-get with its lists and cache below DIR, so that
# an ordinary user can fetch and nothing of the system's own state changes
private_apt()
{
	pa_dir=$1
	shift
	set -- -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$pa_dir/sources.d" \
		-o "Dir::State::lists=$pa_dir/lists" -o "Dir::Cache=$pa_dir/cache" \
		-o Acquire::Languages=none "$@"
	if is_root; then
		set -- -o APT::Sandbox::User=root "$@"
	fi
	apt-get -q -y "$@"
}

# private_cache DIR ARGS... - apt-cache with the lists of private_apt
private_cache()
{
	pc_dir=$1
	shift
	apt-cache -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$pc_dir/sources.d" \
		-o "Dir::State::lists=$pc_dir/lists" -o "Dir::Cache=$pc_dir/cache" "$@"
}

# source_versions DIR NAME - the listed versions of a source package, newest first
source_versions()
{
	LC_ALL=C private_cache "$1" showsrc "$2" 2>/dev/null |
		awk -v name="$2" '
			$1 == "Package:" { mine = $2 == name }
			$1 == "Version:" && mine && !seen[$2]++ { print $2 }' |
		version_sort
}

# version_sort - lines of versions from stdin, newest first by dpkg's rules
version_sort()
{
	vs_sorted=
	while read -r vs_new; do
		vs_next=
		vs_placed=0
		for vs_old in $vs_sorted; do
			if [ $vs_placed -eq 0 ] && dpkg --compare-versions "$vs_new" gt "$vs_old"; then
				vs_next="$vs_next $vs_new"
				vs_placed=1
			fi
			vs_next="$vs_next $vs_old"
		done
		[ $vs_placed -eq 1 ] || vs_next="$vs_next $vs_new"
		vs_sorted=$vs_next
	done
	echo "$vs_sorted"
}

# upstream_version VERSION - without epoch and the distribution's own part
upstream_version()
{
	echo "$1" | sed 's/^[0-9]*://; s/-[^-]*$//'
}

# source_fetch NAME DIR [LEAST] - download the signed Debian source package NAME
# into DIR (its .dsc and archives), using DIR/apt for apt's own files. When this
# release has none of the version LEAST or later, newer suites of the same
# archives are asked.
source_fetch()
{
	command -v apt-get >/dev/null 2>&1 ||
		die "package $1: no apt-get here; build it by hand and name its directory (see scripts/deps --help)"
	source_fetch_release "$1" "$2" "${3:-0}" && return 0
	[ -n "${3:-}" ] ||
		die "package $1: the system's apt sources have no such source package"
	source_fetch_newer "$1" "$2" "$3" || die "package $1: $3 or later is needed, and neither the \
system's apt sources nor newer suites of their archives have it; build it by hand and name its \
directory (see scripts/deps --help)"
}

# source_fetch_newer NAME DIR LEAST - from the first newer suite that has LEAST
source_fetch_newer()
{
	for sn_suite in testing unstable devel; do
		sn_apt=$2/apt-$sn_suite
		source_lists "$sn_apt" deb-src $sn_suite
		if private_apt "$sn_apt" update >"$2/apt.log" 2>&1 &&
			source_get "$1" "$2" "$sn_apt" "$3"; then
			rm -rf "$sn_apt"
			say "$1: this release has nothing of $3 or later, taken from $sn_suite"
			return 0
		fi
		rm -rf "$sn_apt"
	done
	return 1
}

# source_fetch_release NAME DIR LEAST - from this release; 1: it has none
source_fetch_release()
{
	sf_apt=$2/apt
	if [ ! -d "$sf_apt/sources.d" ] || [ -z "$(find "$sf_apt/lists" -name '*_Sources*' 2>/dev/null)" ]; then
		source_lists "$sf_apt"
		[ -n "$(ls "$sf_apt/sources.d")" ] ||
			die "package $1: the system's apt sources name no archive for this release with component main"
		say "reading the list of source packages"
		private_apt "$sf_apt" update >"$2/apt.log" 2>&1 ||
			die "package $1: cannot read the list of source packages: $(tail -n 1 "$2/apt.log")"
	fi
	source_get "$1" "$2" "$sf_apt" "$3" && return 0
	[ -n "$sf_tried" ] || return 1
	rm -rf "$sf_apt/lists"
	die "package $1: cannot fetch the source package: $(grep '^E:' "$2/apt.log" | head -n 1)"
}

# source_get NAME DIR APT LEAST - download what APT lists of LEAST or later, the
# newest first. An archive may list a version whose files are gone; then the
# next older one that it lists is taken, and that is said. 1: nothing was had,
# with the version that was tried, if any, in $sf_tried
source_get()
{
	sf_tried=
	for sf_version in $(source_versions "$3" "$1"); do
		dpkg --compare-versions "$(upstream_version "$sf_version")" ge "$4" || continue
		if (cd "$2" && private_apt "$3" source --download-only "$1=$sf_version") \
			>"$2/apt.log" 2>&1; then
			[ -z "$sf_tried" ] || say "$1: $sf_tried is not in the archive, using $sf_version"
			return 0
		fi
		sf_tried=${sf_tried:-$sf_version}
	done
	return 1
}

# kernel_fetch METAPACKAGE DIR [PATTERN]... - unpack the kernel that METAPACKAGE
# depends on into DIR, with the system's package lists or, where there are none,
# our own; what else of the package is wanted is named by PATTERNs
kernel_fetch()
{
	kf_meta=$1
	kf_dir=$2
	shift 2
	kernel_download "$kf_meta" "$kf_dir" || return 1
	dpkg-deb --fsys-tarfile "$kf_dir/$kf_name"_*.deb |
		tar -x -C "$kf_dir" --wildcards './boot/vmlinuz-*' "$@" || return 1
	rm -rf "$kf_dir/$kf_name"_*.deb "$kf_dir/apt"
}

# kernel_download METAPACKAGE DIR - the package itself, whose name is in $kf_name then
kernel_download()
{
	kf_name=$(LC_ALL=C apt-cache depends "$1" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
	if [ -n "$kf_name" ] && (cd "$2" && apt-get -q download "$kf_name") >"$2/apt.log" 2>&1; then
		:
	else
		say "reading the list of packages"
		source_lists "$2/apt" deb
		private_apt "$2/apt" update >"$2/apt.log" 2>&1 || return 1
		kf_name=$(LC_ALL=C private_cache "$2/apt" depends "$1" 2>/dev/null |
			sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
		[ -n "$kf_name" ] || return 1
		(cd "$2" && private_apt "$2/apt" download "$kf_name") >"$2/apt.log" 2>&1 || return 1
	fi
}

# Whatever a script takes, with --help it only says what it is.
if [ "${1:-}" = --help ]; then
	usage
	exit 0
fi
