/*
 * The snapshot barrier: engine/snapshot.go (copy on write), journal/snapshot.go,
 * snapshot_keep.go and retain.go (what is committed and kept), ARCHITECTURE.md
 * decisions 2 and 3.
 *
 * What must hold: a snapshot is the state exactly at its barrier, each part of
 * it once, whatever changes while it is written; after a kill at any step, and
 * a newest snapshot found bad, recovery = newest good snapshot + log tail is
 * the state of the whole log, and the log still has the tail; with -DPOWER the
 * same after a power cut, for what was left of the log; every snapshot that is
 * not overtaken or killed ends (liveness), also when no packet comes any more.
 *
 * One shard, since state does not cross shards. Its state: instruments 0 and 1,
 * which share a consolidated group, and instrument 2, which is listed at run
 * time. A count a part stands for its state; the group's depends on the order.
 *
 * -DPOWER  power cuts: only what was synced is sure to be left
 * -DBUG_x  breaks one line, and Spin must find it
 */

#ifndef LEN
#define LEN 5 /* records that are logged in all */
#endif
#ifndef BARRIERS
#define BARRIERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

/* kinds of records */
#define EVENT0 0  /* a packet of instrument 0: Shard.apply */
#define FIRE1 1   /* a deadline of instrument 1 fires: Shard.advance */
#define EVENT2 2  /* of instrument 2; the first one lists it: Shard.introduce */
#define BARRIER 3

/* The log, and what of it is left. */
byte log[LEN];
byte logged; /* appended: journal.Log.Append */
byte synced; /* of it, on disk */
byte first;  /* older records were removed: Log.Retain */

/* A snapshot: log position + 1 (0 = none), and what is in it. */
typedef Snapshot { byte at; byte part[4] }
Snapshot newest, older, oldest; /* committed: oldest is there only until it is pruned */
Snapshot ended;                 /* waits to be committed */
bit fresh;                      /* newest was renamed, and its directory is not synced */

/* owner: shard. Parts: instruments 0..2, group 3 */
byte st[4];
byte img[4];
byte pos;   /* applied */
byte saved; /* bits: savedAt == epoch */
bit open;
byte place; /* log position of the barrier */

byte kills, barriers;
bit bad; /* a snapshot was found bad: once */

/* ghost */
byte tt[4];
byte k;

/* The state after the first n records, into tt. */
inline truth(n) {
	k = 0; tt[0] = 0; tt[1] = 0; tt[2] = 0; tt[3] = 1;
	do
	:: k < n ->
		if
		:: log[k] == EVENT0 -> tt[0]++; tt[3] = tt[3] * 2
		:: log[k] == FIRE1 -> tt[1]++; tt[3] = tt[3] * 2 + 1
		:: log[k] == EVENT2 -> tt[2]++
		:: else
		fi;
		k++
	:: else -> k = 0; break
	od
}

#define SAME(a) (a[0] == tt[0] && a[1] == tt[1] && a[2] == tt[2] && a[3] == tt[3])
#define SET(a, b) a[0] = b[0]; a[1] = b[1]; a[2] = b[2]; a[3] = b[3]
#define CLEAR(a) a[0] = 0; a[1] = 0; a[2] = 0; a[3] = 0
#define COPY(a, b) a.at = b.at; SET(a.part, b.part)
#define NONE(a) a.at = 0; CLEAR(a.part)
#define ISSAVED(i) ((saved >> i) & 1)

/* Shard.save, saveGroup, and endSnapshot */
inline save(i) {
	d_step {
		if
		:: open && !ISSAVED(i) ->
			img[i] = st[i];
			saved = saved | (1 << i);
			if
			:: saved == 15 -> /* left == 0: SnapshotSink.End */
				open = 0;
				truth(place);
				assert(SAME(img)); /* exactly the state at the barrier */
				if
				:: ended.at == 0 -> ended.at = place + 1; SET(ended.part, img)
				:: else /* the one before is being committed: this one is given up */
				fi;
				CLEAR(img); saved = 0; place = 0;
				CLEAR(tt)
			:: else
			fi
		:: else
		fi
	}
}

/* Shard.keep */
inline keep(i) {
	save(i);
#ifndef BUG_GROUP
	if :: i < 2 -> save(3) :: else fi
#endif
}

inline change(i, which) {
	d_step {
		st[i]++;
		if :: i < 2 -> st[3] = st[3] * 2 + which :: else fi
	}
}

/* Shard.Apply of one record */
inline apply(kind) {
	if
	:: kind == BARRIER ->
		d_step { /* Shard.barrier; one that has not ended is abandoned */
#ifdef BUG_OVERLAP
			/* The older one goes on, with a new place. */
			if :: !open -> saved = 0 :: else fi;
#else
			saved = 0; CLEAR(img);
#endif
#ifdef BUG_PLACE
			open = 1; place = logged; /* said to be of the batch's end */
#else
			open = 1; place = pos;
#endif
			/* What is not listed yet is not counted: it is in the snapshot by not being there. */
			if :: st[2] == 0 -> saved = saved | 4 :: else fi
		}
	:: kind == EVENT0 ->
#ifndef BUG_LATE
		keep(0);
#endif
		change(0, 0);
#ifdef BUG_LATE
		keep(0) /* written after its change */
#endif
	:: kind == FIRE1 ->
#ifndef BUG_FIRE
		keep(1);
#endif
		change(1, 1)
	:: kind == EVENT2 ->
#ifdef BUG_LISTED
		/* listed now, and taken for unsaved: it was not there at the barrier */
		d_step { if :: open && st[2] == 0 -> saved = saved & 11 :: else fi; st[2]++ }
#else
		if :: st[2] > 0 -> keep(2) :: else fi;
		change(2, 0)
#endif
	fi
}

/* Shard.SaveSome: the next part that is not saved, in the cursor's order */
inline savesome() {
	if
	:: open ->
		if
		:: !ISSAVED(0) -> save(0)
		:: ISSAVED(0) && !ISSAVED(1) -> save(1)
		:: ISSAVED(0) && ISSAVED(1) && !ISSAVED(2) -> save(2)
		:: ISSAVED(0) && ISSAVED(1) && ISSAVED(2) -> save(3)
		fi
	:: else
	fi
}

/* Driver.Run and idle. What a step does to memory alone is one step with it, since
   a kill in its middle is a kill before it. */
proctype Shard() {
	byte i;
end_quiet:
	do
	:: atomic {
		pos == logged && logged < LEN ->
		/* Log.Append: a batch of one or two records; a torn frame is none */
		do
		:: i < 2 && logged < LEN ->
			if
			:: log[logged] = EVENT0
			:: log[logged] = FIRE1
			:: log[logged] = EVENT2
			:: barriers < BARRIERS -> log[logged] = BARRIER; barriers++
			fi;
			logged++; i++
		:: i > 0 -> i = 0; break
		od
	}
	:: atomic {
		pos < logged -> /* Shard.Apply, record by record */
		pos++;
		apply(log[pos - 1]);
		if :: pos == logged -> savesome() :: else fi
	}
#ifndef BUG_IDLE
	:: atomic { pos == logged && open -> savesome() }
#endif
	od
}

inline rename() {
	COPY(oldest, older); COPY(older, newest); COPY(newest, ended); NONE(ended);
	fresh = 1
}

/* journal.SnapshotWriter.Commit. The files are written and synced in tmp-, which
   nobody looks at before the rename. */
proctype Committer() {
end_idle:
	do
#ifdef BUG_LOGSYNC
	:: atomic { ended.at > 0 && !fresh -> rename() }
#else
	:: atomic { ended.at > 0 && !fresh && synced + 1 >= ended.at -> rename() } /* "and their logs synced up to the positions in the manifest" */
#endif
	:: atomic { fresh -> fresh = 0; NONE(oldest) } /* SyncDir, prune */
	od
}

/* Log.Drain: syncs, and removes what no kept snapshot needs (Snapshots.KeepFrom, Log.remove) */
proctype Drainer() {
end_idle:
	do
	:: d_step { synced < logged -> synced = logged }
#ifdef BUG_KEEP
	:: newest.at > 0 && first < newest.at - 1 && newest.at - 1 <= synced -> first = newest.at - 1
#else
	:: atomic { older.at > 0 && oldest.at == 0 && first < older.at - 1 && older.at - 1 <= synced -> first = older.at - 1 }
#endif
	od
}

/* A kill takes all memory. Recovery reads what is left, and is at once: until it
   is through it changes nothing on the disk, so that a kill meanwhile is a kill
   before it. */
proctype Killer() {
end_idle:
	do
	:: atomic {
		kills < KILLS ->
		kills++;
		open = 0; saved = 0; place = 0; CLEAR(img); NONE(ended);
#ifdef POWER
		do /* what was not synced: some of it is left */
		:: logged > synced -> logged--; log[logged] = 0
		:: break
		od;
		if
		:: fresh -> COPY(newest, older); COPY(older, oldest)
		:: true
		fi;
#endif
		fresh = 0; NONE(oldest);
		if
		:: older.at > 0 && !bad -> bad = 1; COPY(newest, older); NONE(older) /* a checksum of the newest was wrong */
		:: true
		fi;
		d_step {
			if
			:: newest.at == 0 -> pos = 0; CLEAR(st); st[3] = 1
			:: else -> pos = newest.at - 1; SET(st, newest.part)
			fi;
			assert(first <= pos); /* the log still has the tail */
			do /* replay; barriers do nothing */
			:: pos < logged ->
				if
				:: log[pos] == EVENT0 -> st[0]++; st[3] = st[3] * 2
				:: log[pos] == FIRE1 -> st[1]++; st[3] = st[3] * 2 + 1
				:: log[pos] == EVENT2 -> st[2]++
				:: else
				fi;
				pos++
			:: else -> break
			od;
			assert(pos == logged); /* no snapshot is of a place behind the log */
			truth(logged);
			assert(SAME(st)); /* the same state */
			CLEAR(tt)
		}
	}
	od
}

init { atomic { st[3] = 1; run Shard(); run Committer(); run Drainer(); run Killer() } }

ltl ends { [](open -> <>(!open)) }
ltl commits { [](ended.at > 0 -> <>(ended.at == 0)) }
