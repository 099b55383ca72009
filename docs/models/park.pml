/*
 * Parking and waking: ringbuf/wait.go, as engine/driver.go and writer/writer.go
 * use it.
 *
 * What must hold: a consumer never sleeps while one of its rings has something
 * or all are closed and nobody is about to wake it (no wake-up is lost), with
 * several rings on one waker, with and without timeouts, with rings that come
 * at run time; and when nothing happens it comes to rest.
 *
 * Memory. Every atomic access of the Go code is one step here. Go's sync/atomic
 * and channels are sequentially consistent with one another. On a weaker
 * machine the pairs "publish, then look at parked" and "set parked, then look
 * at the rings" would need a full fence each; Go's Store and Load bring it.
 *
 * A ring is only published minus released here (ring.pml has the rest). The
 * consumer alone releases, so that Len() is one load for it. Producers publish
 * as long as they like, fall silent or close: runs are infinite.
 *
 * Timeouts fire at any moment, but only TIMEOUTS times in all: else each lost
 * wake-up would hide behind the next timeout.
 *
 * Policies: Auto and Park look a few times before they park; here once, since a
 * look changes nothing. Spin and Yield never park.
 *
 * -DMERGE  Driver.Merge: waits for all rings, not for any (replay); two rings
 * -DATTACH the last ring comes at run time: Driver.Attach
 * -DBUG_x  breaks one line, and Spin must find it
 */

#ifndef RINGS
#define RINGS 2
#endif
#define LAST (RINGS - 1)
#ifndef CAP
#define CAP 2 /* what a ring holds */
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 2
#endif

byte pending[RINGS]; /* published - released */
bit closed[RINGS];

/* Waker */
bit parked;
bit token; /* the channel of one token */

/* Driver: the first inputs rings are known; attaching.some, attaching.rings */
#ifdef ATTACH
byte inputs = LAST;
#else
byte inputs = RINGS;
#endif
bit some, offered;

byte timeouts = TIMEOUTS;
bit done; /* ghost */

/* Waker.Wake. The variable won is the caller's. */
inline wake() {
	if
	:: parked ->
		atomic { won = parked; parked = 0 } /* CompareAndSwap */
		if
		:: won ->
#ifdef BUG_TOKEN
			/* A channel without room: lost unless the consumer stands in its select. */
			atomic { won = 0; if :: selecting -> token = 1 :: else fi }
#else
			atomic { won = 0; token = 1 } /* a token that lies there will do */
#endif
		:: else
		fi
	:: else
	fi
}
#ifdef BUG_TOKEN
bit selecting;
#define SELECTING(x) selecting = x
#else
#define SELECTING(x) skip
#endif

/* Whoever writes into ring me. Ring.Publish, Ring.Close, Driver.Attach. */
proctype Producer(byte me) {
	bit won;
#ifdef ATTACH
	if
	:: me == LAST ->
		offered = 1; /* under the mutex */
		some = 1;
		wake()
	:: else
	fi;
#endif
	do
	:: pending[me] < CAP -> /* room: Backoff looks until there is */
#ifdef BUG_WAKE
		wake();
		pending[me]++
#else
		pending[me]++;
progress_published:
		wake()
#endif
	:: goto silent
	:: break
	od;
#ifdef ATTACH
	/* "while another input is open": none closes before the last is attached */
	(some || inputs == RINGS);
#endif
	closed[me] = 1;
	wake();
silent:
	skip
}

/* Driver.readable, Writer.ready: one ring after the other. The result is in is. */
inline ready() {
	is = 0; open = 0; i = 0;
	if
#ifdef ATTACH
	:: some -> is = 1
#endif
	:: else ->
		do
		:: i < inputs ->
			if
			:: pending[i] > 0 -> /* Len */
#ifdef MERGE
				skip
#else
				is = 1; break
#endif
			:: else -> /* Done: whether it is closed, and only then what was published */
				if
				:: closed[i] ->
#ifdef BUG_CLOSED
					is = 1; break /* a closed ring counts beside open ones */
#else
					if :: pending[i] == 0 :: else -> open = 1 fi
#endif
				:: else -> open = 1
				fi;
#ifdef MERGE
				if :: open -> break :: else fi
#endif
			fi;
			i++
		:: else -> is = !open; break
		od
	fi;
	atomic { i = 0; open = 0 }
}

/* Driver.Run, idle; Writer.Run */
proctype Consumer() {
	byte i;
	bit is, open, timed;
loop:
#ifdef ATTACH
	/* attach: the flag first, then, under the mutex, what was offered */
	if
	:: some ->
		some = 0;
		if :: offered -> inputs = RINGS :: else fi
	:: else
	fi;
#endif
	/* next, apply, Release */
	is = 0;
#ifdef MERGE
	do
	:: i < inputs ->
		if
		:: pending[i] > 0 -> is = 1
		:: else ->
			if
			:: closed[i] -> if :: pending[i] == 0 :: else -> is = 0; break fi
			:: else -> is = 0; break
			fi
		fi;
		i++
	:: else -> break
	od;
	atomic {
		i = 0;
		if
		:: is -> /* any of them has the oldest head */
			if
			:: pending[0] > 0 -> pending[0]--
			:: pending[1] > 0 -> pending[1]--
			fi
		:: else
		fi;
		i = 0
	}
#else
	do
	:: i < inputs ->
		if
		:: atomic { pending[i] > 0 -> pending[i] = 0; is = 1 }
		:: else
		fi;
		i++
	:: else -> i = 0; break
	od;
#endif
	if
	:: is ->
progress_consumed:
		goto loop
	:: else
	fi;
	/* done, and nothing to attach */
	do
	:: i < inputs ->
		if
		:: closed[i] -> if :: pending[i] == 0 :: else -> goto idle fi
		:: else -> goto idle
		fi;
		i++
	:: else -> break
	od;
	if :: !some -> goto ended :: else -> goto idle fi;
idle: /* Waker.Wait */
	atomic { i = 0; if :: timed = 1 :: timed = 0 fi }
	ready();
	if :: is -> goto loop :: else fi;
park: /* Waker.park */
#ifdef BUG_PARK
	ready();
	if :: is -> goto loop :: else fi;
	parked = 1; /* too late: whoever published after the look did not see it */
#else
	parked = 1;
#ifndef BUG_RECHECK
	ready();
	if :: is -> parked = 0; goto loop :: else fi;
#endif
#endif
#ifdef BUG_DRAIN
	token = 0; /* takes away an old token, and perhaps the one that is meant */
#endif
	SELECTING(1);
end_asleep: /* whether it may sleep here is for init to judge */
	if
	:: atomic { token -> token = 0; SELECTING(0) } goto park
	:: atomic { timed && timeouts > 0 -> timeouts--; SELECTING(0) } parked = 0; goto loop
	fi;
ended:
	done = 1
}

/* Whether the consumer has a reason to be awake. */
#if RINGS == 2
#define FULL (pending[0] > 0 || pending[1] > 0)
#define CLOSED (closed[0] && closed[1])
#define CAN(i) (pending[i] > 0 || closed[i])
#define ALL (CAN(0) && CAN(1))
#else
#define FULL (pending[0] > 0 || pending[1] > 0 || pending[2] > 0)
#define CLOSED (closed[0] && closed[1] && closed[2])
#define CAN(i) (pending[i] > 0 || closed[i])
#define ALL (CAN(0) && CAN(1) && CAN(2))
#endif
#ifdef MERGE
#define REASON (ALL)
#else
#define REASON (FULL || CLOSED)
#endif

init {
	byte r;
	atomic {
		do
		:: r < RINGS -> run Producer(r); r++
		:: else -> break
		od;
		run Consumer()
	}
end_rest:
	/* Nothing can move any more. */
	timeout -> assert(done || !REASON && !some)
}

ltl eaten { [](pending[0] > 0 -> <>(pending[0] == 0)) }
ltl ended { [](CLOSED -> <>done) }
