/*
 * From the log to the database: ARCHITECTURE.md decisions 2 to 4.
 *
 *   log position ─► rows, position row ─► open batches ─► records with marks
 *     ─► post ─► commit ─► 204 ─► acked position;  snapshots let the log go
 *
 * engine/driver.go (log, rows, position rows), writer/questdb/sink.go (open
 * batches, seal, mark, checkpoint), writer/spool (Put, Next, Done, acked
 * position, marks, recover), journal (snapshots kept, log retained).
 *
 * What must hold: at the end each row of each batch that was logged is in the
 * database, and no other row; a row that was committed twice had the same key;
 * the acked position never passes a row that was not committed; the log always
 * goes back to what recovery may begin with, and no row that is missing in the
 * spool is of before that; whatever is killed, lost on the way or sent again.
 *
 * Two tables, because their batches leave at different times. A batch gives any
 * of: no row, a row of one, of the other, of both. Snapshots are exact at their
 * barrier (snapshot.pml), so that rows are a function of the log. What a step
 * does to memory alone is one step. What was written to a file survives a kill
 * of the process; a record that was half written is cut and was not written.
 *
 * A request whose reply does not come may be committed at any later time
 * (late[]), also when it was sent again, or after the process was killed.
 *
 * The whole has too many states for more than one batch, so that it is checked
 * in two halves besides, which share nothing but the records and their marks:
 *
 * -DHALF=1 up to the records: what was written to a segment counts as in the
 *          database
 * -DHALF=2 from the records on, of one table, since tables share nothing there:
 *          records come from nowhere, and each is one row
 * -DBUG_x  breaks one line, and Spin must find it
 * -DREVISIONS with -DHALF=2: all rows have one key, as revisions of a bar have.
 *          The newest must be there at the end; a late request breaks that (README).
 */

#ifndef HALF
#define HALF 0
#endif

#ifndef SHARDS
#define SHARDS 1
#endif
#ifndef LEN
#define LEN 3 /* batches a shard logs */
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef FAULTS
#define FAULTS 1 /* requests or replies lost */
#endif
#define TABLES 2
#ifndef RECORDS
#define RECORDS 2 /* of a table that wait; then the next one waits in memory */
#endif

#define ROW(s, p) (1 << ((s) * LEN + (p))) /* the row of batch p of shard s, in a set of rows */

/* On disk, or in memory that survives the process. */
byte logged[SHARDS];  /* batches in the log */
byte first[SHARDS];   /* older ones were removed */
byte rows[TABLES];    /* ghost: what the logged batches say */
typedef Record { byte rows; byte mark[SHARDS] }
typedef Lane {
	Record r[RECORDS];      /* behind the acked position that is on disk */
	byte count;
	byte last[SHARDS];      /* marks of the newest record, also when it was acked */
	/* memory */
	byte open;              /* sink's open batch */
	Record mem; bit sealed;   /* sealed, not yet written */
	byte cursor;            /* records that are acked: lane.cursor */
	byte flight;            /* 0 none, 1 posted, 2 committed, the reply under way */
};
Lane lane[TABLES];
byte control[SHARDS];           /* marks of the last checkpoint */
byte newest[SHARDS], older[SHARDS], snapshots; /* barriers' places of the committed ones */

/* The database, and what is still under way to it. */
byte db[TABLES], late[TABLES];
byte shown; /* REVISIONS: the row that the one key has */

/* Memory. */
byte applied[SHARDS];
byte taken[SHARDS];   /* elements the writer took of a shard's row ring: three a batch */
byte mark[SHARDS];    /* Sink.marks */
byte step;            /* of a snapshot: 0 none, 1 ended, 2 checkpoint asked, 3 answered */
byte place[SHARDS];   /* of its barriers */
byte covered[SHARDS];

byte kills, faults;

#if HALF != 2
/* What batch p says: any rows. */
inline happen(p) {
	if
	:: true
	:: rows[0] = rows[0] | ROW(s, p)
	:: rows[1] = rows[1] | ROW(s, p)
	:: rows[0] = rows[0] | ROW(s, p); rows[1] = rows[1] | ROW(s, p)
	fi
}

/* Driver.apply: the log, then the shard; its rows and their position row go to the ring. */
proctype Shard(byte s) {
end:	do
#ifdef BUG_LOG
	:: atomic { applied[s] == logged[s] && applied[s] < LEN -> happen(applied[s]); applied[s]++ }
	:: d_step { applied[s] > logged[s] -> logged[s]++ }
#else
	/* One step, because a kill between the two is one before the writer took a row. */
	:: atomic { logged[s] < LEN -> happen(logged[s]); logged[s]++; applied[s]++ }
#endif
	od
}

/* Sink.Write: the next row, or the position row, of a shard's ring. (One goroutine for
   all shards; each of its steps is one here.) */
proctype Writer(byte s) {
	byte t;
end:	do
	:: atomic {
		taken[s] < 3 * applied[s] ->
#ifdef BUG_ORDER
		mark[s] = taken[s] / 3 + 1; /* the position is noted before its rows */
#endif
		do
		:: taken[s] % 3 < 2 ->
			t = taken[s] % 3;
			taken[s]++;
			if
			:: rows[t] & ROW(s, (taken[s] - 1) / 3) ->
				lane[t].open = lane[t].open | ROW(s, (taken[s] - 1) / 3);
				break
			:: else
			fi
		:: else -> /* Sink.mark */
			taken[s]++;
			mark[s] = taken[s] / 3;
			break
		od;
		t = 0
	}
	od
}
#endif

#if SHARDS == 2
#define MARKS(a, b) a[0] = b[0]; a[1] = b[1]
#define ZERO(a) a[0] = 0; a[1] = 0
#define REACHES(a, b) (a[0] >= b[0] && a[1] >= b[1])
#else
#define MARKS(a, b) a[0] = b[0]
#define ZERO(a) a[0] = 0
#define REACHES(a, b) (a[0] >= b[0])
#endif
#define MAX(a, b) (a > b -> a : b)
#define MIN(a, b) (a < b -> a : b)

/* Sink.seal, Spool.Put */
inline seal(t) {
	lane[t].mem.rows = lane[t].open;
	MARKS(lane[t].mem.mark, mark);
	lane[t].sealed = 1;
	lane[t].open = 0
}

/* A table's batch is full or old enough; Spool's goroutine that writes; the
   table's sender; the server's side. */
proctype Table(byte t) {
	byte i; /* BUG_ACK: the record in flight */
end:	do
#if HALF == 2
	:: d_step {
		logged[0] < LEN && !lane[t].sealed ->
		lane[t].open = 1 << logged[0]; rows[t] = rows[t] | lane[t].open; logged[0]++;
		seal(t)
	}
#else
	:: d_step { lane[t].open && !lane[t].sealed -> seal(t) }
#endif

	:: d_step { /* Spool.writeRound: an ordinary write */
		lane[t].sealed && lane[t].count < RECORDS ->
#if HALF == 1
		db[t] = db[t] | lane[t].mem.rows;
		MARKS(lane[t].last, lane[t].mem.mark);
#else
		lane[t].r[lane[t].count].rows = lane[t].mem.rows;
		MARKS(lane[t].r[lane[t].count].mark, lane[t].mem.mark);
		MARKS(lane[t].last, lane[t].mem.mark);
		lane[t].count++;
#endif
		lane[t].sealed = 0; lane[t].mem.rows = 0; ZERO(lane[t].mem.mark)
	}

#if HALF != 1
	/* Spool.Next and the post: one in flight a table */
	:: d_step {
		lane[t].flight == 0 && lane[t].cursor < lane[t].count ->
#ifdef BUG_ACK
		i = lane[t].cursor; lane[t].cursor++; /* acked when it is posted */
#endif
		lane[t].flight = 1
	}
	/* the server commits */
#ifdef BUG_ACK
#define INFLIGHT lane[t].r[i].rows
#else
#define INFLIGHT lane[t].r[lane[t].cursor].rows
#endif
	:: d_step {
		lane[t].flight == 1 ->
#ifdef BUG_KEYS
		assert(!(db[t] & INFLIGHT)); /* a table without keys: the row is there twice */
#endif
		db[t] = db[t] | INFLIGHT;
#ifdef REVISIONS
		shown = INFLIGHT;
#endif
		lane[t].flight = 2
	}
	/* 204: Spool.Done */
	:: d_step {
		lane[t].flight == 2 ->
#ifndef BUG_ACK
		lane[t].cursor++;
#endif
		lane[t].flight = 0
	}
	/* no reply: the request never came, or it will be committed some time, or it was */
	:: atomic {
		lane[t].flight && faults < FAULTS ->
		faults++;
		if
		:: lane[t].flight == 1 -> late[t] = late[t] | INFLIGHT
		:: true
		fi;
		lane[t].flight = 0
	}
	:: d_step {
		late[t] ->
#ifdef BUG_KEYS
		assert(!(db[t] & late[t]));
#endif
#ifdef REVISIONS
		shown = late[t];
#endif
		db[t] = db[t] | late[t]; late[t] = 0
	}

	/* Spool.syncRound: the acked position goes to disk */
	:: d_step {
		lane[t].cursor > 0 ->
		assert((lane[t].r[0].rows & db[t]) == lane[t].r[0].rows);
		i = 1;
		do
		:: i < RECORDS -> lane[t].r[i - 1].rows = lane[t].r[i].rows; MARKS(lane[t].r[i - 1].mark, lane[t].r[i].mark); i++
		:: else -> i = 0; break
		od;
		lane[t].r[RECORDS - 1].rows = 0; ZERO(lane[t].r[RECORDS - 1].mark);
		lane[t].count--; lane[t].cursor--
	}
#endif
	od
}

#ifdef BUG_UNWRITTEN
#define WRITTEN 1
#else
#define WRITTEN (!lane[0].sealed && !lane[1].sealed)
#endif

#if HALF != 2
/* Barriers, Sink.Checkpoint, Spool.Checkpoint, SnapshotWriter.Commit, Log.Retain */
proctype Snapshots() {
	byte s;
end:	do
	:: d_step { /* all shards have ended theirs */
		step == 0 && !REACHES(newest, applied) ->
		MARKS(place, applied);
		step = 1
	}
#ifdef BUG_UNCOVERED
	/* committed without asking the spool */
	:: d_step { step == 1 -> step = 3; MARKS(covered, place) }
#else
	/* Sink.checkpoint: seals what is open, and the marks of now */
	:: d_step {
		step == 1 && !(lane[0].open && lane[0].sealed) && !(lane[1].open && lane[1].sealed) ->
		if :: lane[0].open -> seal(0) :: else fi;
		if :: lane[1].open -> seal(1) :: else fi;
		MARKS(covered, mark);
		step = 2
	}
	/* Spool.finish: all of that is on disk */
	:: d_step {
		step == 2 && WRITTEN ->
		s = 0;
		do
		:: s < SHARDS -> control[s] = MAX(control[s], covered[s]); s++
		:: else -> s = 0; break
		od;
		step = 3
	}
#endif
	:: d_step {
		step == 3 ->
#ifndef BUG_COVERED
		if
		:: REACHES(covered, place) ->
#else
		if
		:: true -> /* whatever the checkpoint covered */
#endif
			MARKS(older, newest); MARKS(newest, place);
			snapshots = MIN(snapshots + 1, 2);
			/* Snapshots.KeepFrom: with fewer than two good ones, all is kept */
#ifdef BUG_KEEP
			MARKS(first, newest);
#else
			if :: snapshots == 2 -> MARKS(first, older) :: else fi;
#endif
			step = 0; ZERO(place)
		:: else -> step = 1 /* asks again */
		fi;
		ZERO(covered)
	}
	od
}
#endif

/* A kill, and the recovery, which changes nothing on disk until it is through. */
proctype Killer() {
	byte s, t, from, m, x;
end:	do
	:: atomic {
		kills < KILLS ->
		kills++;
		do
		:: t < TABLES ->
			if
			:: lane[t].flight == 1 ->
				if /* it may still be committed, some time */
#ifdef BUG_ACK
				:: true
#else
				:: late[t] = late[t] | lane[t].r[lane[t].cursor].rows
				:: true
#endif
				fi
			:: else
			fi;
#if HALF == 2
			rows[t] = rows[t] & ~lane[t].mem.rows; /* the first half makes them again */
#endif
			lane[t].flight = 0; lane[t].cursor = 0; lane[t].open = 0;
			lane[t].sealed = 0; lane[t].mem.rows = 0; ZERO(lane[t].mem.mark);
			t++
		:: else -> t = 0; break
		od;
#ifdef BUG_LOG
		do /* what was not logged did not happen */
		:: s < SHARDS ->
			if
			:: applied[s] > logged[s] -> rows[0] = rows[0] & ~ROW(s, logged[s]); rows[1] = rows[1] & ~ROW(s, logged[s])
			:: else
			fi;
			s++
		:: else -> s = 0; break
		od;
#endif
#if HALF != 2
		step = 0; ZERO(place); ZERO(covered); ZERO(mark);
		/* a newest that is found bad; the one found then is the newest */
		if
		:: snapshots == 2 -> MARKS(newest, older); ZERO(older); snapshots = 1
		:: true
		fi;
		/* all rows again (another build), or those behind the marks */
		if :: x = 1 :: x = 0 fi;
		d_step {
			do
			:: s < SHARDS ->
				from = newest[s]; /* 0 without a snapshot */
				assert(first[s] <= from); /* the log still has it */
				/* Spool.Marks: of each table the newest record's or the checkpoint's; of those the least */
				m = MAX(lane[0].last[s], control[s]);
#ifdef BUG_MARKS
				m = MAX(m, lane[1].last[s]);
#else
				m = MIN(m, MAX(lane[1].last[s], control[s]));
#endif
				applied[s] = logged[s];
				if
				:: x || m < from -> taken[s] = 3 * from
				:: else -> taken[s] = 3 * m
				fi;
				s++
			:: else -> s = 0; break
			od;
			from = 0; m = 0; x = 0
		}
#endif
	}
	od
}

init {
	atomic {
#if HALF == 2
		run Table(0);
#else
		run Shard(0);
		run Writer(0);
#if SHARDS == 2
		run Shard(1);
		run Writer(1);
#endif
		run Table(0);
		run Table(1);
		run Snapshots();
#endif
		run Killer()
	}
end_rest:
	/* Nothing can move any more: all is logged, nothing waits. */
	timeout ->
#ifdef REVISIONS
	assert(shown == 1 << (LEN - 1));
#endif
	assert(db[0] == rows[0] && db[1] == rows[1] && lane[0].count == 0 && lane[1].count == 0)
}
