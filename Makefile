# nvent_store: a PGXS build.  "make help" lists the targets.

EXTENSION  = nvent_store
# PGXS sets srcdir only when it is included, so find ourselves for VPATH builds.
HERE      := $(dir $(firstword $(MAKEFILE_LIST)))
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" \
	$(HERE)$(EXTENSION).control)

MODULE_big = $(EXTENSION)
OBJS = \
	src/nvent_store.o \
	src/guc.o \
	src/util.o \
	src/plan.o \
	src/jsonb_build.o \
	src/jsonb_merge.o \
	src/jsonb_tree.o \
	src/jsonb_paths.o \
	src/jsonb_functions.o \
	src/subject.o \
	src/subject_glob.o \
	src/subject_func.o \
	src/subject_trie.o \
	src/subject_category.o \
	src/subject_support.o \
	src/shmem.o \
	src/ring.o \
	src/waiter.o \
	src/horizon.o \
	src/notify.o \
	src/store.o \
	src/store_admin.o \
	src/store_layout.o \
	src/store_adopt.o \
	src/fields.o \
	src/fields_value.o \
	src/route.o \
	src/route_target.o \
	src/route_admin.o \
	src/stream.o \
	src/stream_event.o \
	src/stream_append.o \
	src/stream_insert.o \
	src/stream_head.o \
	src/stream_known.o \
	src/stream_many.o \
	src/stream_category.o \
	src/stream_read.o \
	src/stream_guard.o \
	src/stream_scan.o \
	src/stream_poll.o \
	src/stream_stats.o \
	src/stream_wait.o \
	src/entry.o \
	src/entry_fields.o \
	src/entry_leftover.o \
	src/entry_add.o \
	src/entry_update.o \
	src/entry_read.o \
	src/entry_filter.o \
	src/entry_increment.o \
	src/kv.o \
	src/kv_plan.o \
	src/kv_many.o \
	src/kv_scan.o \
	src/lock.o \
	src/aggregate.o \
	src/aggregate_restore.o \
	src/aggregate_snapshot.o \
	src/consumer.o \
	src/consumer_match.o \
	src/consumer_mark.o \
	src/consumer_lease.o \
	src/consumer_claim.o \
	src/consumer_fetch.o \
	src/consumer_admin.o \
	src/consumer_checkpoint.o \
	src/maintain.o \
	src/worker_maintain.o \
	src/worker.o \
	src/worker_launcher.o \
	src/worker_send.o

PG_CPPFLAGS = -I$(HERE)src
PG_CFLAGS   = -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers

# Parts of the install script in load order, which is not alphabetical.
SQL_PARTS = \
	schema \
	jsonb_merge \
	subject \
	horizon \
	store \
	route \
	stream \
	stream_poll \
	aggregate \
	entry \
	kv \
	lock \
	consumer \
	maintain \
	worker

DATA       = $(patsubst $(HERE)%,%,$(wildcard $(HERE)src/sql/release/*--*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

REGRESS = \
	extension \
	jsonb_merge \
	jsonb_merge_diff \
	subject \
	subject_plan \
	horizon \
	store \
	adopt \
	route \
	stream \
	fields \
	stream_poll \
	entry \
	entry_read \
	entry_tables \
	kv \
	kv_redis \
	lock \
	maintain \
	aggregate \
	consumer \
	consumer_claim \
	consumer_fetch \
	consumer_checkpoint \
	errors \
	contract_a \
	contract_b \
	contract_c \
	contract_e \
	contract_f \
	contract_g \
	contract_j \
	security \
	catalog \
	adapter \
	examples \
	contract_d \
	stream_wait
REGRESS_OPTS   = --load-extension=$(EXTENSION) --encoding=UTF8
ISOLATION      = $(patsubst $(HERE)test/specs/%.spec,%,\
	$(wildcard $(HERE)test/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(srcdir)/test --load-extension=$(EXTENSION)
# TAP needs IPC::Run; without it the rest is run rather than nothing.
PROVE_TESTS    = test/t/*.pl
ifneq ($(wildcard $(HERE)$(PROVE_TESTS)),)
TAP_TESTS     := $(shell perl -MIPC::Run -e 'print 1' 2>/dev/null)
endif

EXTRA_CLEAN = results output_iso regression.diffs regression.out tmp_check \
	.pg_version

# These set the machine up first, so they must work before PGXS is there.
SCRIPTS_ONLY = help setup test test-merge soak fuzz lint demo bench print-%

ifneq ($(if $(MAKECMDGOALS),$(filter-out $(SCRIPTS_ONLY),$(MAKECMDGOALS)),all),)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

MKSRC := $(shell mkdir -p src)	# PGXS does not create it in VPATH builds

$(DATA_built): $(SQL_PARTS:%=$(srcdir)/src/sql/%.sql) \
		$(srcdir)/$(EXTENSION).control
	cat $(filter %.sql,$^) > $@

# The objects do not list the headers they read; rebuild them all on a change,
# and when the server's version or this file is another one than last time.
$(OBJS) $(OBJS:.o=.bc): $(wildcard $(HERE)src/*.h) .pg_version $(HERE)Makefile

.pg_version: FORCE
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@

.PHONY: FORCE

endif

.PHONY: help setup test test-merge soak fuzz lint demo bench

help:
	@echo 'all, install, installcheck, clean: as with any PGXS extension'
	@echo 'setup   install what building and testing need (Debian)'
	@echo 'test    everything on a private server; TESTS="regress isolation tap lint"'
	@echo 'test-merge  merges of random documents; PAIRS=100000 SEED=0.5'
	@echo 'soak    sixteen writers and many crashes; EVENTS=1000000 SEED=1'
	@echo 'fuzz    the pure modules under sanitizers; SECONDS=60 for each'
	@echo 'lint    the rules of the house'
	@echo 'demo    replay a package log through the store; KEEP=1 keeps the server'
	@echo 'bench   speed against plain SQL; SECONDS=3 ROUNDS=5 ONLY=name'

setup:
	@$(HERE)test/setup.sh

test:
	@$(HERE)test/run.sh

test-merge:
	@PAIRS=$(PAIRS) SEED=$(SEED) $(HERE)test/merge/run.sh

soak:
	@EVENTS=$(EVENTS) SEED=$(SEED) $(HERE)test/soak.sh

fuzz:
	@$(HERE)test/fuzz/run.sh $(SECONDS)

lint:
	@$(HERE)test/lint.sh

demo:
	@$(HERE)test/demo/run.sh

bench:
	@NVS_SECONDS=$(SECONDS) $(HERE)test/bench/run.sh

# Variables for the scripts.
print-%:
	@echo $($*)
