/*
 * The ring in shared memory: writer/shm/ring.go, store_*.go, reader/ring.go, and
 * the same protocol of images and definitions.
 *
 * What must hold: what a reader returns is one message as it was written, whole,
 * and of the position that was asked for; whatever the writer does meanwhile.
 *
 * Memory is weak here, other than in the other models. A store of the writer goes
 * into a set of stores that are not visible yet (pending), from which they become
 * visible one by one in any order, but for what the code enforces:
 *   - a release store (a final mark) becomes visible after all stores before it;
 *   - a store to a word becomes visible after earlier ones to the same word;
 *   - the stores behind the mark "being written" become visible after it: the
 *     payload's own stores are releases too (arm64), or stores keep their order
 *     (x86).
 * Loads of the reader are made in any order, but for the first look at the mark,
 * which comes before (acquire), and the second, which comes behind the payload's
 * (acquire loads, or a fence). -DBUG_… leaves out one of these.
 *
 * One slot, which the writer fills again and again, is enough: slots are written
 * and checked one by one, and the order among the slots of a message (the first one
 * last) is that of a release store behind all others: modelled as a second slot
 * that belongs to the message.
 */

#ifndef LAPS
#define LAPS 3
#endif
#define WORDS 2 /* of a payload */
#define SLOTS 2 /* of a message; the ring has room for one message */

/* Visible memory. A mark is 2 × lap + 1 when whole, 2 × lap while it is written. */
byte mark[SLOTS] = 0;
byte word[4] = 0; /* [slot * WORDS + w]: the lap it is of */

/* What the writer stored and is not visible, per slot, in the writer's order. */
bool pendWriting[SLOTS], pendWhole[SLOTS], pendWord[4];
byte writingV[SLOTS], wholeV[SLOTS], wordV[4];

#define WORDSPENDING(s) (pendWord[(s) * WORDS] || pendWord[(s) * WORDS + 1])
#define STOREPENDING(s) (pendWriting[s] || WORDSPENDING(s) || pendWhole[s])

/* The mark "being written" is stored, the payload, the final mark; each may be
 * stored before the one before it is visible. */
proctype Writer() {
	byte lap, s;
	for (lap : 1 .. LAPS) {
		/* From the last slot to the first. */
		s = SLOTS;
		do
		:: s > 0 ->
			s = s - 1;
			/* A word's earlier store becomes visible first. */
			(!pendWriting[s] && !pendWhole[s]);
			d_step { pendWriting[s] = 1; writingV[s] = 2 * lap }
			(!pendWord[s * WORDS]);
			d_step { pendWord[s * WORDS] = 1; wordV[s * WORDS] = lap }
			(!pendWord[s * WORDS + 1]);
			d_step { pendWord[s * WORDS + 1] = 1; wordV[s * WORDS + 1] = lap }
			d_step { pendWhole[s] = 1; wholeV[s] = 2 * lap + 1 }
		:: else -> break
		od
	}
}

/* When a store may become visible. */
#define MAYWRITING(s) (pendWriting[s])
#ifdef BUG_WRITING
#define MAYWORD(s, w) (pendWord[(s) * WORDS + w])
#else
#define MAYWORD(s, w) (pendWord[(s) * WORDS + w] && !pendWriting[s]) /* behind "being written" */
#endif
#ifdef BUG_WHOLE
#define MAYWHOLE(s) (pendWhole[s] && !pendWriting[s])
#else
#define MAYWHOLE(s) (pendWhole[s] && !pendWriting[s] && !WORDSPENDING(s)) /* a release */
#endif
#ifdef BUG_FIRST
#define MAYFIRST MAYWHOLE(0)
#else
#define MAYFIRST (MAYWHOLE(0) && !STOREPENDING(1)) /* behind the slots that were stored before it */
#endif

#define SHOWWRITING(s) d_step { mark[s] = writingV[s]; pendWriting[s] = 0 }
#define SHOWWORD(s, w) d_step { word[s * WORDS + w] = wordV[s * WORDS + w]; pendWord[s * WORDS + w] = 0 }
#define SHOWWHOLE(s) d_step { mark[s] = wholeV[s]; pendWhole[s] = 0 }

/* What is stored becomes visible. */
active proctype Visible() {
end:
	do
	:: atomic { MAYWRITING(0) -> SHOWWRITING(0) }
	:: atomic { MAYWRITING(1) -> SHOWWRITING(1) }
	:: atomic { MAYWORD(0, 0) -> SHOWWORD(0, 0) }
	:: atomic { MAYWORD(0, 1) -> SHOWWORD(0, 1) }
	:: atomic { MAYWORD(1, 0) -> SHOWWORD(1, 0) }
	:: atomic { MAYWORD(1, 1) -> SHOWWORD(1, 1) }
	:: atomic { MAYFIRST -> SHOWWHOLE(0) }
	:: atomic { MAYWHOLE(1) -> SHOWWHOLE(1) }
	od
}

proctype Reader() {
	byte lap, s, look;
	byte copied[4];
	bool have[4];
	bool good;
	for (lap : 1 .. LAPS) {
		good = 1;
		/* The first look: at the first slot alone. */
		if
		:: mark[0] == 2 * lap + 1
		:: goto next /* or give up at any time: it was overtaken */
		fi;
		s = 0;
		do
		:: s < SLOTS ->
			d_step { have[0] = 0; have[1] = 0 }
#ifdef BUG_SECOND
			look = mark[s]; /* the second look is made early */
#endif
			/* The payload, in any order. */
			do
			:: !have[0] -> d_step { copied[s * WORDS] = word[s * WORDS]; have[0] = 1 }
			:: !have[1] -> d_step { copied[s * WORDS + 1] = word[s * WORDS + 1]; have[1] = 1 }
			:: have[0] && have[1] -> break
			od;
#ifndef BUG_SECOND
			look = mark[s];
#endif
#ifndef BUG_SECOND
			assert(look >= 2 * lap + 1); /* who finds the first slot finds all */
#endif
			if
			:: look != 2 * lap + 1 -> good = 0; break
			:: else
			fi;
			s = s + 1
		:: else -> break
		od;
		if
		:: good ->
			assert(copied[0] == lap && copied[1] == lap && copied[2] == lap && copied[3] == lap)
		:: else
		fi;
next:
		skip
	}
}

init {
	atomic { run Writer(); run Reader() } /* readers do not meet */
}
