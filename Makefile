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
	src/subject.o \
	src/subject_glob.o \
	src/subject_trie.o \
	src/subject_func.o \
	src/horizon.o \
	src/notify.o \
	src/store.o \
	src/store_layout.o \
	src/fields.o \
	src/route.o \
	src/route_admin.o \
	src/stream.o

PG_CPPFLAGS = -I$(HERE)src
PG_CFLAGS   = -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers

# Parts of the install script in load order, which is not alphabetical.
SQL_PARTS = \
	schema \
	subject \
	horizon \
	store \
	route \
	stream

DATA       = $(patsubst $(HERE)%,%,$(wildcard $(HERE)src/sql/release/*--*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

REGRESS        = extension subject
REGRESS_OPTS   = --load-extension=$(EXTENSION)
ISOLATION      = $(patsubst $(HERE)test/specs/%.spec,%,\
	$(wildcard $(HERE)test/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(srcdir)/test --load-extension=$(EXTENSION)
# TAP needs IPC::Run; without it the rest is run rather than nothing.
TAP_TESTS     := $(shell perl -MIPC::Run -e 'print 1' 2>/dev/null)
PROVE_TESTS    = test/t/*.pl

EXTRA_CLEAN = results output_iso regression.diffs regression.out tmp_check

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

MKSRC := $(shell mkdir -p src)	# PGXS does not create it in VPATH builds

$(DATA_built): $(SQL_PARTS:%=$(srcdir)/src/sql/%.sql) \
		$(srcdir)/$(EXTENSION).control
	cat $(filter %.sql,$^) > $@

# The objects do not list the headers they read; rebuild them all on a change.
$(OBJS): $(wildcard $(HERE)src/*.h)
