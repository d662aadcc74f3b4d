# pillarbox - one static binary that is a whole mail server
#
#   make                ./pillarbox, static and stripped
#   make run            build, start a server below ./run and show a mail going through
#   make check          build and run every test, or with T=NAME those whose name has NAME in it
#   make install        DESTDIR= PREFIX=/usr: binary, links, configuration, directories
#   make bloatcheck     size by symbol, against the last `make baseline`
#   make clean          remove what was built (not the libraries: rm -rf .deps)
#
# PROFILE=router    a profile of config/profiles (default: full)
# TEST=1            with the unit tests, in build/test/pillarbox
# SAN=1             host compiler, address and undefined sanitizers, with the
#                   unit tests, in build/san/pillarbox
# V=1               show the commands         DEPS=DIR   where the libraries are
# FEATURES=         single switches, for example FEATURES="FEATURE_PCRE=0"
# CC= AR= HOST=     another compiler, for other processors
#
# Sources are found, not listed: below core/ and applets/, and in test builds below
# tests/unit/. Includes are relative to core/ or to the top of the tree.

PROFILE  = full
PREFIX   = /usr
DESTDIR  =
DEPS     = $(CURDIR)/.deps
FEATURES =
TEST     = 0
SAN      = 0
V        = 0

ifeq ($(origin CC),default)
CC = musl-gcc
endif

# The names of the object directories: full, test, san, router, router-test ...
ifeq ($(SAN),1)
override TEST = 1
NAME := $(patsubst full-%,%,$(PROFILE)-san)
else ifeq ($(TEST),1)
NAME := $(patsubst full-%,%,$(PROFILE)-test)
else
NAME := $(PROFILE)
endif
OBJ := build/$(NAME)
BIN := $(OBJ)/pillarbox

ifeq ($(wildcard config/profiles/$(PROFILE)),)
$(error no such profile: config/profiles/$(PROFILE))
endif
SWITCHES := $(shell sed -n 's/^\(FEATURE_[A-Z0-9_]*=[01]\)$$/-D\1/p' config/profiles/$(PROFILE))
ifeq ($(SAN)$(findstring musl,$(CC)),0)
ifneq ($(shell $(CC) -E -dM -include features.h -x c /dev/null 2>/dev/null | grep -w __GLIBC__),)
# The iconv of a static glibc needs that very glibc's tables on the disk: ours has its own.
SWITCHES := $(filter-out -DFEATURE_CHARSETS=%,$(SWITCHES)) -DFEATURE_CHARSETS=0
endif
endif
SWITCHES := $(filter-out $(foreach f,$(FEATURES),-D$(firstword $(subst =, ,$f))=%),$(SWITCHES)) \
	$(addprefix -D,$(FEATURES)) -DFEATURE_UNIT=$(TEST)

SRC := $(sort $(shell find core applets -name '*.c' 2>/dev/null))
ifeq ($(TEST),1)
SRC += $(sort $(shell find tests/unit -name '*.c'))
endif
OBJS := $(SRC:%.c=$(OBJ)/%.o)

WARN = -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wshadow -Wvla
START_RELR = 0
CPPFLAGS = -D_GNU_SOURCE $(SWITCHES) -DSTART_RELR=$(START_RELR) -Icore -I. -Itests/unit
COMMON = -std=c11 -MMD -MP $(WARN) -fno-strict-aliasing -ffunction-sections -fdata-sections
KERNEL_HEADERS = -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu

ifeq ($(SAN),1)
override CC = gcc
LIBDIR = $(DEPS)/san
CFLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Static runtimes: with the shared ones the undefined-behaviour half ignores log_path.
LINK = $(CC) $(CFLAGS) -static-libasan -static-libubsan -o $@ $(OBJS) $(LIBS)
STRIP = :
else
LIBDIR = $(DEPS)
OPT := $(or $(shell sed -n 's/^OPT=//p' config/profiles/$(PROFILE)),-Oz -fstack-protector-strong)
# gcc has -Oz since version 12.
ifeq ($(findstring -Oz,$(OPT))$(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 || echo no),-Ozno)
OPT := $(OPT:-Oz=-Os)
endif
LINK_OPT := $(shell sed -n 's/^LINK=/,/p' config/profiles/$(PROFILE))
CFLAGS = $(OPT) -g -fPIE -fno-asynchronous-unwind-tables -fno-unwind-tables
LDFLAGS = -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none$(LINK_OPT)
ifeq ($(findstring musl-gcc,$(CC)),musl-gcc)
COMMON += $(KERNEL_HEADERS)
# Debian's musl-gcc wrapper has no start files for static-pie: named here.
MUSL_LIB = /usr/lib/$(shell uname -m)-linux-musl
CRT_BEGIN = $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $(shell $(CC) -print-file-name=crtbeginS.o)
# And a musl before 1.2.4 cannot apply packed relocations: core/base/start.c does.
ifeq ($(shell uname -m)-$(shell grep -l DT_RELR /usr/include/x86_64-linux-musl/elf.h),x86_64-)
START_RELR = 1
PIE_FLAGS = ,-z,pack-relative-relocs,-e,pillarbox_start
endif
CRT_END = $(shell $(CC) -print-file-name=crtendS.o) $(MUSL_LIB)/crtn.o
LINK = $(CC) $(CFLAGS) -static -nostartfiles $(LDFLAGS),-pie,--no-dynamic-linker,-z,text$(PIE_FLAGS) \
	-o $@ $(CRT_BEGIN) $(OBJS) $(LIBS) $(CRT_END)
else
LINK = $(CC) $(CFLAGS) -static-pie $(LDFLAGS) -o $@ $(OBJS) $(LIBS)
endif
# The compiler's own: the host's would destroy another processor's program.
STRIP := $(shell $(CC) -print-prog-name=strip)
endif

off = $(filter -DFEATURE_$(1)=0,$(SWITCHES))
ARCHIVES = $(if $(call off,SQL),libsqlite3-small.a,libsqlite3.a) libbearssl.a libcares.a \
	$(if $(call off,PCRE),,libpcre2-8.a) $(if $(call off,YESCRYPT),libcrypt-basic.a,libcrypt.a)
LIBS = $(addprefix $(LIBDIR)/lib/,$(ARCHIVES)) $(if $(filter 1,$(SAN)),-lm)

Q := $(if $(filter 1,$(V)),,@)

.PHONY: all run check install clean bloatcheck baseline binary FORCE
.DELETE_ON_ERROR:

ifneq ($(filter 1,$(TEST)),)
all: $(BIN)
else
all: pillarbox

# A running server keeps the file it was started from: replaced by rename.
pillarbox: $(BIN) FORCE
	$(Q)cmp -s $(BIN) $@ || { cp $(BIN) $@.new && mv -f $@.new $@; }
endif

$(BIN): $(OBJS) $(OBJ)/flags
	@echo "  LINK   $@"
	$(Q)$(LINK)
	$(Q)cp $@ $@.symbols && $(STRIP) $@

# A device without a clock judges certificates by no day before this: the last commit's, or today.
BUILD_SECONDS := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || date +%s))
$(OBJ)/core/net/tls_client.o: CPPFLAGS += -DBUILD_SECONDS=$(BUILD_SECONDS)

$(OBJ)/%.o: %.c $(OBJ)/flags $(LIBDIR)/stamps/all
	@echo "  CC     $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(COMMON) $(CFLAGS) -isystem $(LIBDIR)/include -c -o $@ $<

# Rewritten only when the compiler, the flags or the set of files changed.
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(PIE_FLAGS) $(ARCHIVES) $(SRC)' | cmp -s - $@ || \
	echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(PIE_FLAGS) $(ARCHIVES) $(SRC)' >$@

$(DEPS)/stamps/all: scripts/deps
	$(Q)DEPS='$(DEPS)' CC='$(CC)' $(if $(filter-out default,$(origin AR)),AR='$(AR)') HOST='$(HOST)' \
		scripts/deps
$(DEPS)/san/stamps/all: scripts/deps
	$(Q)DEPS='$(DEPS)' scripts/deps --san

run:
	$(Q)scripts/run

check:
	$(Q)scripts/check $(if $(T),-t $(T))

install: all $(OBJ)/links
	$(Q)LINKS='$(OBJ)/links' scripts/install '$(DESTDIR)' '$(PREFIX)'

# What the binary's --list-full says, which it cannot when it is another processor's.
$(OBJ)/links: $(BIN)
	$(Q)$(CC) $(CPPFLAGS) -include config/features.h -E -P -x c applets/applets.def \
		-D'APPLET(name, main, dir, ...)=@dir name' -D'ALIAS(name, main, dir, of)=@dir name' | \
		sed -n -e 's,^@BIN "\(.*\)"$$,bin/\1,p' -e 's,^@SBIN "\(.*\)"$$,sbin/\1,p' \
		-e 's,^@LIBEXEC "\(.*\)"$$,libexec/postfix/\1,p' >$@

# Per-symbol sizes, now and then: what grew, what shrank, what is new.
baseline: all
	$(Q)nm --size-sort -S $(BIN).symbols | awk '{ print $$4, $$2 }' | sort >build/baseline
bloatcheck: all
	@size $(BIN); ls -l pillarbox
	$(Q)scripts/bloatcheck build/baseline $(BIN).symbols

clean:
	rm -rf build pillarbox

-include $(OBJS:.o=.d)
