# Sluice: one Makefile. `make help` lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= build
V       ?= 0
VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
PY      := /usr/bin/python3

PKGS := libuv libmicrohttpd jansson libprotobuf-c gnutls libnl-3.0 libnl-route-3.0 \
        libnftables sqlite3 libcurl libcyaml yaml-0.1 libsystemd
# deps, demo and check install the libraries first, then call make again
ifeq ($(filter deps clean help demo check,$(MAKECMDGOALS)),)
-include build/pkg.mk
endif

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-format-nonliteral \
        -Wno-unknown-warning-option -Wno-format-truncation
OPT  := -O2 -g
SANF := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(SAN),1)
OPT  := -O1 -g $(SANF)
LDFLAGS += $(SANF)
endif
# hidden inline fortify only where the optimiser runs without the sanitizer
ifneq ($(SAN),1)
OPT  += -D_FORTIFY_SOURCE=2 -fstack-protector-strong
endif
CFLAGS += -std=gnu11 -fPIE $(OPT) $(WARN) -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -I. -I$(BUILD)/gen $(PKG_CFLAGS)
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed

ifeq ($(V),0)
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)';
endif

gen_c   := $(BUILD)/gen/sluice.pb-c.c
base    := $(wildcard proto/base/*.c)
wire    := $(wildcard proto/wire/*.c)
agent   := $(wildcard agent/*.c agent/frr/*.c agent/sample/*.c agent/check/*.c)
steer   := $(wildcard controller/steer/*.c)
# what of the simulator a tabletop drill needs; pure, run beside the loop
sim_live := $(addprefix controller/sim/,catch.c graph.c live.c rehearse.c report.c rng.c scenario.c world.c)
ctrl    := $(wildcard controller/*.c controller/api/*.c controller/drill/*.c) $(sim_live) $(steer)
ctl     := $(wildcard controller/ctl/*.c) controller/diff.c
sim     := $(wildcard controller/sim/*.c) $(steer)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
gen_o := $(BUILD)/gen/sluice.pb-c.o
lib_o := $(call obj,$(base) $(wire)) $(gen_o)

BINS := $(BUILD)/sluice-controller $(BUILD)/sluice-agent $(BUILD)/sluicectl $(BUILD)/lab-load
ifneq ($(wildcard controller/sim/main.c),)
BINS += $(BUILD)/sluice-sim
endif

all: $(BINS) ## build everything

$(BUILD)/sluice-agent:      $(call obj,$(agent)) $(lib_o)
$(BUILD)/sluice-controller: $(call obj,$(ctrl)) $(lib_o)
$(BUILD)/sluicectl:         $(call obj,$(ctl)) $(lib_o)
$(BUILD)/sluice-sim:        $(call obj,$(sim) $(base))
$(BUILD)/lab-load:          $(call obj,tests/lab/load.c)
$(BINS):
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm

$(BUILD)/obj/%.o: %.c | $(BUILD)/gen/sluice.pb-c.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/sluice.pb-c.h $(gen_c) &: proto/sluice.proto
	@mkdir -p $(@D)
	$(call say,PROTO,$<)protoc-c --c_out=$(BUILD)/gen -Iproto $<
# generated code is compiled without our warnings
$(gen_o): $(gen_c)
	$(call say,CC,$<)$(CC) -std=gnu11 -fPIE $(OPT) -I$(BUILD)/gen $(PKG_CFLAGS) -c -o $@ $<

build/pkg.mk: Makefile
	@mkdir -p build
	@{ echo "PKG_CFLAGS := $$(pkg-config --cflags $(PKGS))"; echo "PKG_LIBS := $$(pkg-config --libs $(PKGS))"; } > $@.tmp \
	  && pkg-config --exists $(PKGS) && mv $@.tmp $@ || { rm -f $@.tmp; echo "libraries missing: run 'make deps' first" >&2; exit 1; }

# -- unit tests: every fragment in tests/unit/*.mk names tests and the sources each may link --
unit :=
include $(wildcard tests/unit/*.mk)
unit_bins := $(addprefix $(BUILD)/unit/,$(addsuffix _test,$(unit)))
define unit_rule
$(BUILD)/unit/$(1)_test: $$(call obj,tests/unit/$(1)_test.c $$($(1)_src)) $$($(1)_obj)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS) -lcmocka -lm
endef
$(foreach t,$(unit),$(eval $(call unit_rule,$(t))))
unit: $(unit_bins) ## build the unit tests

include $(wildcard tests/*.mk deploy/*.mk)

help: ## this list
	@awk -F':.*## ' '/^[a-z%-]+:.*## /{printf "  %-12s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

clean: ## remove build/
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: all unit deps demo check asan fuzz install clean help format
