/*
 * The SPSC ring: ringbuf/ring.go.
 *
 * What must hold: the consumer gets every committed packet once, whole, in
 * order, contiguous, and nothing else; no plain memory (units, lapUsed) is
 * written by one goroutine while the other reads or writes it; a producer that
 * waits for room gets it; after Close the consumer comes to an end.
 *
 * Memory. Every atomic access of the Go code is one step here, each plain
 * access of shared memory one step (a read) or two (a write: it begins, it
 * ends). released is stored in order, and not waited for: it becomes visible to
 * the producer at any later moment. Go's sync/atomic is sequentially consistent, and a program without a
 * data race in any sequentially consistent run has only such runs (Go memory
 * model: DRF-SC). So the interleavings that Spin explores are all there are,
 * given that the two-step writes never meet another access: that is asserted.
 *
 * Unbounded. Positions of the Go code never wrap. The code uses only their
 * differences, their order and their masked bits, so that subtracting one lap
 * from all of them changes nothing: rebase() does it, and the finite model
 * covers runs of any length. Packet numbers go round too (TAGS), far enough
 * apart that a lap's leftover is never taken for the packet that is due.
 *
 * Variants: see check.sh. -DBUG_x breaks one line, and Spin must find it.
 */

#ifndef SIZE
#define SIZE 4 /* units; a power of two */
#endif
#define MASK (SIZE - 1)
#define PACKETMAX (SIZE / 2) /* MaxPacket */
#ifndef TAGS
#define TAGS (2 * SIZE) /* packet numbers */
#endif
#define JUNK 255 /* scribble, and fresh memory */

/* Ring.units: of which packet, and how many units of it follow, this one included */
byte tag[SIZE] = JUNK;
byte left[SIZE] = 0;
bit writing[SIZE]; /* somebody is in the middle of writing this unit */

/* owner: producer. Global only for rebase(). */
byte committed, releasedSeen;
byte at; /* Ring.reservedAt, and Reserve's at before that */
byte nextTag; /* ghost: number of the next packet */

/* written by the producer, read by the consumer */
byte published; /* atomic */
byte lapUsed;   /* plain */
bit lapWriting;
bit closed; /* atomic */

/* written by the consumer, read by the producer */
byte stored;   /* released, as the consumer stored it */
byte released; /* as the producer finds it: a little later (ordered.Store) */
#ifdef HIGHWATER
byte highWater, peak; /* peak: ghost, the largest published - released there ever was */
#define OBSERVE if :: published - released > peak -> peak = published - released :: else fi
#else
#define OBSERVE skip
#endif

/* owner: consumer */
byte rd; /* Ring.read */
byte wantTag; /* ghost: number of the packet at rd */

bit waiting, done; /* ghost, for the properties */

inline rebase() {
	d_step {
		if
		:: released >= SIZE && releasedSeen >= SIZE && at >= SIZE ->
			committed = committed - SIZE;
			at = at - SIZE;
			stored = stored - SIZE;
			releasedSeen = releasedSeen - SIZE;
			published = published - SIZE;
			released = released - SIZE;
			rd = rd - SIZE;
			/* Below released it is compared with nothing but rd, which is not less. */
			if :: lapUsed >= SIZE -> lapUsed = lapUsed - SIZE :: else -> lapUsed = 0 fi
		:: else
		fi
	}
}

#define BEGIN_WRITE(i) d_step { assert(!writing[i]); writing[i] = 1 }
#define END_WRITE(i, t, l) d_step { tag[i] = t; left[i] = l; writing[i] = 0 }

/* Ring.Publish */
inline publish() {
	d_step { published = committed; OBSERVE }
}

/* Whoever writes packets: feeds/output.go, Driver.write. Ring.Reserve, Commit, Publish, Close. */
proctype Producer() {
	byte n, m, k;
packet:
	if
	:: n = PACKETMAX
#if SIZE > 4
	:: n = PACKETMAX - 1
#else
	:: n = 1
#endif
	:: goto close
	fi;
reserve:
	atomic { /* Reserve: own variables only */
		at = committed;
		if :: n > SIZE - (at & MASK) -> at = at + (SIZE - (at & MASK)) :: else fi
	}
#ifdef BUG_ROOM
	/* One unit too many is taken for room. */
#define NOROOM (at + n - releasedSeen > SIZE + 1)
#else
#define NOROOM (at + n - releasedSeen > SIZE)
#endif
	if
	:: NOROOM ->
		releasedSeen = released;
		if
		:: NOROOM ->
#ifndef BUG_FULL
			publish();
#endif
			/* Backoff.Pause, then Reserve anew: looks until something was released. */
			waiting = 1;
			(released != releasedSeen);
			waiting = 0;
			goto reserve
		:: else
		fi
	:: else
	fi;
	/* The caller may commit less than it reserved, or nothing. */
	if
	:: m = n
#ifndef WHOLE
	:: m = 1
	:: n = 0; goto committed_
#endif
	fi;
#ifdef BUG_PUBLISH
	/* Published before it is written. */
	committed = at + m;
	publish();
#endif
	k = 0;
	do
	:: k < m ->
		BEGIN_WRITE((at + k) & MASK);
		END_WRITE((at + k) & MASK, nextTag, m - k);
		k++
	:: else -> k = 0; break
	od;
#ifndef BUG_PUBLISH
	/* Commit */
	if
	:: (at & MASK) == 0 ->
#ifdef BUG_LAP
		/* The padding is forgotten: the lap counts as full. */
		d_step { assert(!lapWriting); lapWriting = 1 }
		d_step { lapUsed = at; lapWriting = 0 }
#else
		d_step { assert(!lapWriting); lapWriting = 1 }
		d_step { lapUsed = committed; lapWriting = 0 }
#endif
	:: else
	fi;
	committed = at + m;
#endif
	atomic { nextTag = (nextTag + 1) % TAGS; n = 0; m = 0; k = 0 }
committed_:
	if
	:: skip /* a batch: publish later */
	:: publish()
	fi;
	goto packet;
close:
	publish();
	closed = 1
}

/* Whoever reads: Driver.next and Run, Writer.drain. Ring.Poll, Release, Done. */
proctype Consumer() {
	byte end, shown, c, t, n, k;
	bit again; /* the last Poll gave the same as the one before: not for ever */
poll:
	end = published;
	/* What lapEnd says goes for the lap that rd is in. */
	if
	:: end > (rd | MASK) + 1 ->
		d_step {
			assert(!lapWriting);
			if
			:: rd < lapUsed -> end = lapUsed
			:: else -> rd = (rd | MASK) + 1
			fi
		}
	:: else
	fi;
	d_step {
		assert(end >= rd);
		shown = end - rd;
		assert(shown <= SIZE && (rd & MASK) + shown <= SIZE); /* the slice that Poll returns */
		end = 0; c = 0; t = wantTag
	}
	if
	:: shown == 0 ->
		assert(published >= rd);
		/* Done: whether it is closed, and only then what was published. */
#ifdef BUG_DONE
		if
		:: rd == published ->
			if :: closed -> goto ended :: else fi
		:: else
		fi;
#else
		if
		:: closed ->
			if :: rd == published -> goto ended :: else fi
		:: else
		fi;
#endif
		/* Waker.Wait, whose proof is park.pml: ready is Len() > 0 or closed. */
		(published != stored || closed);
		goto poll
	:: else
	fi;
use:
#ifdef BUG_RELEASE
	/* Given back before it is read. */
	stored = rd + shown;
#endif
	do
	:: c < shown -> /* reads a packet, unit by unit */
		d_step {
			assert(!writing[(rd + c) & MASK]);
			assert(tag[(rd + c) & MASK] == t); /* the packet that is due */
			n = left[(rd + c) & MASK];
			assert(n >= 1 && c + n <= shown); /* whole */
			k = 1
		}
		do
		:: k < n ->
			d_step {
				assert(!writing[(rd + c + k) & MASK]);
				assert(tag[(rd + c + k) & MASK] == t && left[(rd + c + k) & MASK] == n - k);
				k++
			}
		:: else -> break
		od;
		atomic { c = c + n; t = (t + 1) % TAGS; n = 0; k = 0 }
	:: c > 0 -> /* Release of what was read */
#ifndef BUG_RELEASE
		d_step {
			k = 0;
			do
			:: k < c -> assert(!writing[(rd + k) & MASK]); writing[(rd + k) & MASK] = 1; k++
			:: else -> break
			od;
			k = 0
		}
		d_step { /* scribble */
			do
			:: k < c -> tag[(rd + k) & MASK] = JUNK; left[(rd + k) & MASK] = 0; writing[(rd + k) & MASK] = 0; k++
			:: else -> break
			od;
			k = 0
		}
#endif
#ifdef HIGHWATER
		n = published - stored;
		d_step { if :: n > highWater -> highWater = n :: else fi; n = 0 }
#endif
		d_step {
			shown = shown - c;
			rd = rd + c;
			wantTag = t;
			c = 0;
			again = 0;
			stored = rd
		}
		rebase();
		if :: shown == 0 -> goto poll :: else fi
	:: !again -> again = 1; goto poll /* without having released all: the same packets, perhaps more */
	od;
ended:
	(released == stored);
	atomic {
		assert(wantTag == nextTag); /* nothing lost */
		assert(committed == rd && released == rd);
#ifdef HIGHWATER
		/* What HighWater promises, "the largest Len there ever was", fails: see README. */
		assert(highWater <= peak);
		assert(highWater == peak);
#endif
		done = 1
	}
}

/* A core's stores become visible in their order, this one whenever it likes. */
proctype Visible() {
end:
	do
	:: released != stored -> released = stored
	od
}

init { atomic { run Producer(); run Consumer(); run Visible() } }

ltl drained { [](closed -> <>done) }
ltl room { [](waiting -> <>!waiting) }
