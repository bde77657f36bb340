# nvent_store: a PGXS build.  "make help" lists the targets.

EXTENSION  = nvent_store
# PGXS sets srcdir only when it is included, so find ourselves for VPATH builds.
HERE      := $(dir $(firstword $(MAKEFILE_LIST)))
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" \
	$(HERE)$(EXTENSION).control)

MODULE_big = $(EXTENSION)
OBJS = \
	src/nvent_store.o \
	src/base/guc.o \
	src/base/arg.o \
	src/base/time.o \
	src/base/advisory.o \
	src/base/identity.o \
	src/base/inval.o \
	src/base/grant.o \
	src/base/text.o \
	src/base/plan.o \
	src/base/subtransaction.o \
	src/base/statement.o \
	src/base/planned.o \
	src/base/by_index.o \
	src/json/build.o \
	src/json/merge.o \
	src/json/tree.o \
	src/json/paths.o \
	src/json/functions.o \
	src/subject/subject.o \
	src/subject/glob.o \
	src/subject/functions.o \
	src/subject/trie.o \
	src/subject/category.o \
	src/subject/support.o \
	src/position/marks.o \
	src/position/shmem.o \
	src/wakeup/ring.o \
	src/wakeup/waiter.o \
	src/wakeup/wait.o \
	src/position/sequence.o \
	src/position/low_water_mark.o \
	src/position/early_release.o \
	src/position/prepared.o \
	src/position/published_position.o \
	src/position/position.o \
	src/position/watch.o \
	src/position/xact.o \
	src/wakeup/jobs.o \
	src/wakeup/notify.o \
	src/store/store.o \
	src/store/relation.o \
	src/store/claim.o \
	src/store/check.o \
	src/store/registry.o \
	src/store/admin.o \
	src/store/grant.o \
	src/store/stream_index.o \
	src/store/stream_table.o \
	src/store/layout.o \
	src/store/nvent_layout.o \
	src/store/adoption.o \
	src/store/adopt_base.o \
	src/store/adopt_event.o \
	src/store/adopt.o \
	src/route/fields.o \
	src/route/field_value.o \
	src/route/field_emit.o \
	src/route/route.o \
	src/route/copy.o \
	src/route/draw.o \
	src/route/shown.o \
	src/route/target.o \
	src/route/lookup.o \
	src/route/overwrite.o \
	src/route/table_set.o \
	src/route/binding.o \
	src/route/direct.o \
	src/route/foreign_code.o \
	src/route/admin.o \
	src/stream/state.o \
	src/stream/event.o \
	src/stream/statement.o \
	src/stream/write.o \
	src/stream/head.o \
	src/stream/event_id.o \
	src/stream/bulk.o \
	src/stream/insert.o \
	src/stream/bound.o \
	src/stream/append.o \
	src/stream/append_many.o \
	src/stream/read.o \
	src/stream/source.o \
	src/stream/walk.o \
	src/stream/window.o \
	src/stream/scan.o \
	src/stream/backward.o \
	src/stream/poll.o \
	src/stream/category.o \
	src/stream/wait.o \
	src/stream/stats.o \
	src/stream/lifecycle.o \
	src/stream/tables.o \
	src/stream/restore.o \
	src/stream/protect.o \
	src/entry/entry.o \
	src/entry/fields.o \
	src/entry/leftover.o \
	src/entry/add.o \
	src/entry/update.o \
	src/entry/read.o \
	src/entry/filter.o \
	src/entry/increment.o \
	src/entry/overwrite.o \
	src/kv/row.o \
	src/kv/kv.o \
	src/kv/expire.o \
	src/kv/key.o \
	src/kv/overwrite.o \
	src/kv/many.o \
	src/kv/scan.o \
	src/lock/lock.o \
	src/snapshot/snapshot.o \
	src/consumer/consumer.o \
	src/consumer/subscribe.o \
	src/consumer/match.o \
	src/consumer/mark.o \
	src/consumer/lease.o \
	src/consumer/claim.o \
	src/consumer/fetch.o \
	src/consumer/admin.o \
	src/checkpoint/checkpoint.o \
	src/queue/queue.o \
	src/queue/rate.o \
	src/queue/wakeup.o \
	src/queue/key.o \
	src/queue/slot.o \
	src/queue/job.o \
	src/queue/send.o \
	src/queue/bind.o \
	src/queue/unlogged.o \
	src/queue/publish.o \
	src/queue/deliver.o \
	src/queue/origin.o \
	src/queue/turn.o \
	src/queue/wait.o \
	src/queue/flow.o \
	src/queue/redrive.o \
	src/queue/update.o \
	src/queue/hint.o \
	src/queue/note.o \
	src/queue/count.o \
	src/queue/expire.o \
	src/queue/fetched.o \
	src/queue/direct.o \
	src/queue/lane.o \
	src/queue/admit.o \
	src/queue/begin.o \
	src/queue/walk.o \
	src/queue/failed.o \
	src/queue/fetch.o \
	src/queue/run.o \
	src/queue/settle.o \
	src/queue/settle_many.o \
	src/queue/work.o \
	src/queue/await.o \
	src/queue/control.o \
	src/queue/resume.o \
	src/queue/admin.o \
	src/queue/drop.o \
	src/queue/list.o \
	src/queue/read.o \
	src/queue/stats.o \
	src/queue/blocked.o \
	src/queue/sweep.o \
	src/schedule/parse.o \
	src/schedule/next.o \
	src/schedule/zone.o \
	src/schedule/functions.o \
	src/schedule/timing.o \
	src/schedule/schedule.o \
	src/schedule/author.o \
	src/schedule/fire.o \
	src/schedule/run.o \
	src/worker/maintain.o \
	src/worker/session.o \
	src/worker/notifier.o \
	src/worker/maintainer.o \
	src/worker/launcher.o \
	src/worker/hold.o \
	src/worker/utility.o \
	src/worker/status.o \
	src/wakeup/outbox.o

# The server's headers are the system's: what is unused in them is no warning.
PG_CPPFLAGS = -I$(HERE)src -isystem $(includedir_server)
PG_CFLAGS   = -Wextra -Wno-sign-compare -Wno-missing-field-initializers

# Parts of the install script in load order, which is not alphabetical.
SQL_PARTS = \
	schema \
	json \
	subject \
	store \
	position \
	route \
	stream \
	snapshot \
	entry \
	kv \
	lock \
	consumer \
	checkpoint \
	queue \
	schedule \
	worker

DATA       = $(patsubst $(HERE)%,%,$(wildcard $(HERE)src/sql/release/*--*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

REGRESS = \
	extension \
	base_plan \
	json_merge \
	json_merge_diff \
	subject \
	subject_plan \
	subject_category \
	position \
	position_many \
	wakeup_notify \
	store \
	store_adopt \
	store_identity \
	store_replica \
	store_layout \
	store_grant \
	route \
	route_subject \
	route_fields \
	route_lookup \
	route_tables \
	stream_append \
	stream_append_conflict \
	stream_append_retry \
	stream_append_many \
	stream_append_bulk \
	stream_load \
	stream_read \
	stream_index \
	stream_poll \
	stream_poll_filters \
	stream_poll_category \
	stream_walk \
	stream_wait \
	stream_lifecycle \
	stream_stats \
	stream_protect \
	snapshot \
	entry \
	entry_read \
	entry_tables \
	entry_overwrite \
	kv \
	kv_overwrite \
	kv_redis \
	lock \
	consumer \
	consumer_claim \
	consumer_fetch \
	checkpoint \
	queue \
	queue_direct \
	queue_settings \
	queue_key \
	queue_kept queue_lease queue_options \
	queue_redrive \
	queue_flow \
	queue_slot \
	queue_list \
	queue_stats \
	queue_progress \
	queue_find \
	queue_wait \
	queue_lane \
	queue_group \
	queue_rate \
	queue_update \
	queue_bind \
	queue_on_append \
	queue_unlogged \
	queue_flat \
	queue_rows \
	queue_rights \
	queue_control \
	schedule_cron \
	schedule \
	schedule_run \
	worker_maintain \
	errors \
	security \
	catalog \
	adapter \
	eventcore \
	examples
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
	.built_for

# These set the machine up first, so they must work before PGXS is there.
SCRIPTS_ONLY = help setup test attack test-merge soak fuzz lint demo bench \
	test-assert test-asan test-clang test-vpath test-commits indent indent-check typedefs print-%

ifneq ($(if $(MAKECMDGOALS),$(filter-out $(SCRIPTS_ONLY),$(MAKECMDGOALS)),all),)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(and $(wildcard $(PGXS)), \
	$(wildcard $(shell $(PG_CONFIG) --includedir-server)/postgres.h)),)
$(error No headers of a PostgreSQL server by "$(PG_CONFIG)": install them \
	("make setup" does on Debian), or name its pg_config with \
	PG_CONFIG=/path/to/pg_config)
endif
# A server that was not built in a folder of its own has lost this from PGXS.
ifneq ($(realpath $(HERE)),$(realpath .))
VPATH = $(HERE:/=)
endif
include $(PGXS)

# PGXS creates no folders in VPATH builds.
MKSRC := $(shell mkdir -p $(sort $(dir $(OBJS))))

$(DATA_built): $(SQL_PARTS:%=$(srcdir)/src/sql/%.sql) \
		$(srcdir)/$(EXTENSION).control
	cat $(filter %.sql,$^) > $@

# The objects do not list the headers they read; rebuild them all on a change,
# and when the server, the compiler or this file is another one than last time.
$(OBJS) $(OBJS:.o=.bc): $(wildcard $(HERE)src/*.h $(HERE)src/*/*.h) \
		.built_for $(HERE)Makefile

.built_for: FORCE
	@{ $(PG_CONFIG) --version --configure; echo '$(CC)'; } | cmp -s - $@ || \
		{ $(PG_CONFIG) --version --configure; echo '$(CC)'; } > $@

.PHONY: FORCE

endif

.PHONY: help setup test attack test-merge soak fuzz fuzz-calls lint demo bench
.PHONY: test-assert test-asan test-clang test-vpath test-commits
.PHONY: indent indent-check typedefs

help:
	@echo 'all, install, installcheck, clean: as with any PGXS extension'
	@echo 'setup   install what building and testing need (Debian)'
	@echo 'test    everything on a private server; TESTS="regress isolation tap lint"'
	@echo '        or by name: ONLY="kv kv_nx_race 003_standby"'
	@echo 'attack  roles that plant code, and all functions called beside it'
	@echo 'test-assert  the same with a PostgreSQL that has assertions, built once'
	@echo 'test-asan    regress with address and undefined behaviour sanitizers'
	@echo 'test-clang   regress, built by clang; all its warnings are errors'
	@echo 'test-vpath   builds and installs from another folder'
	@echo 'test-commits  each commit behind BASE=origin/main, one by one'
	@echo 'test-merge  merges of random documents; PAIRS=100000 SEED=0.5'
	@echo 'soak    sixteen writers and many crashes; EVENTS=1000000 SEED=1'
	@echo 'fuzz    the pure modules under sanitizers; SECONDS=60 for each'
	@echo 'fuzz-calls  any call of any function, SECONDS=3600 SEED=1'
	@echo 'lint    the rules of the house'
	@echo 'indent  run pgindent over src/; indent-check shows what it would do'
	@echo 'typedefs  make typedefs.list, which pgindent reads, anew'
	@echo 'demo    replay a package log through the store; KEEP=1 keeps the server,'
	@echo '        WEB=1 shows a live page'
	@echo 'bench   speed against plain SQL; SECONDS=2 ROUNDS=5 ONLY=name PLOT=1'

setup:
	@$(HERE)test/setup.sh

test:
	@$(HERE)test/run.sh

attack:
	@ONLY=007_attack $(HERE)test/run.sh

test-assert:
	@$(HERE)test/variant.sh assert

test-asan:
	@$(HERE)test/variant.sh asan

test-clang:
	@$(HERE)test/variant.sh clang

test-vpath:
	@$(HERE)test/vpath.sh

test-commits:
	@$(HERE)test/commits.sh

test-merge:
	@PAIRS=$(PAIRS) SEED=$(SEED) $(HERE)test/merge/run.sh

soak:
	@EVENTS=$(EVENTS) SEED=$(SEED) $(HERE)test/soak.sh

fuzz:
	@$(HERE)test/fuzz/run.sh $(SECONDS)

fuzz-calls:
	@SEED=$(SEED) $(HERE)test/fuzz/calls.sh $(SECONDS)

lint:
	@$(HERE)test/lint.sh

indent:
	@$(HERE)test/indent.sh

indent-check:
	@$(HERE)test/indent.sh check

typedefs:
	@$(HERE)test/indent.sh typedefs

demo:
	@$(HERE)test/demo/run.sh

bench:
	@NVS_SECONDS=$(SECONDS) $(HERE)test/bench/run.sh

# Variables for the scripts.
print-%:
	@echo $($*)
