/*
 * Reads the shared memory of a tickproc on the same machine. C11 or C++11, GCC or
 * Clang; one header; the layout is that of docs/shm.md, version 1. Needs a
 * little-endian machine and mmap; nothing is written.
 *
 *   struct tickproc_shm s;
 *   int e = tickproc_open(&s, "/dev/shm/tickproc-…-shm");
 *   if (e) { fprintf(stderr, "%s\n", tickproc_error(e)); return 1; }
 *   struct tickproc_ring ring;
 *   tickproc_join(&s, 0, &ring);
 *   static struct tickproc_message m;
 *   for (;;)
 *     if (tickproc_next(&ring, &m)) { … m.word[0] … }
 *     else if (… now and then …) e = tickproc_alive(&s, now_ns);
 *
 * Order of memory. The writer stores a slot's mark "being written", then the
 * payload, then the mark; each becomes visible after those before it. A reader
 * loads the mark (acquire), the payload (relaxed), and, behind an acquire fence,
 * the mark again: the same mark means that the payload is of it. So it is also for
 * images, whose sequence is odd while they are written.
 */
#ifndef TICKPROC_SHM_H
#define TICKPROC_SHM_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the shared memory is little-endian"
#endif

#define TICKPROC_VERSION 1u
#define TICKPROC_DIRECTORY_MAGIC 0x524944504b434954ull /* "TICKPDIR" */
#define TICKPROC_RING_MAGIC 0x474e49524b434954ull      /* "TICKRING" */
#define TICKPROC_RINGS_MAX 256
#define TICKPROC_LEVELS_MAX 50
#define TICKPROC_SLOT_WORDS 8
#define TICKPROC_PAYLOAD_WORDS 7
#define TICKPROC_MESSAGE_SLOTS_MAX 250
#define TICKPROC_STALE_NS 3000000000ll /* a heartbeat of this age is none */

enum tickproc_kind {
	TICKPROC_TRADE = 1, TICKPROC_QUOTE = 2, TICKPROC_DEPTH = 3, TICKPROC_VALIDITY = 4, TICKPROC_BAR = 5, TICKPROC_WINDOW = 6,
	TICKPROC_GAP = 7, TICKPROC_NBBO = 8, TICKPROC_FUNDING = 9, TICKPROC_OPEN_INTEREST = 10, TICKPROC_LIQUIDATION = 11,
	TICKPROC_STATUS = 12, TICKPROC_INSTRUMENT = 13, TICKPROC_END = 14
	/* pass over all others */
};

/* Flags, by kind. */
enum {
	TICKPROC_SOURCE = 3, /* mask: 0 the venue's clock, 1 ours, 2 ours moved by the offset */
	TICKPROC_VALID = 4,  /* quote, validity, nbbo */
	TICKPROC_SELL = 8,   /* trade, liquidation */
	TICKPROC_WHOLE = 8,  /* depth: forget the levels before */
	TICKPROC_MORE = 16,  /* depth: the next depth message of the instrument goes on */
	TICKPROC_LATE = 16,  /* trade */
	TICKPROC_FINAL = 16, /* bar, window */
	TICKPROC_COMPLETE = 32
};

enum tickproc_errors {
	TICKPROC_NONE = 1, /* nobody ever wrote there */
	TICKPROC_OTHER_VERSION,
	TICKPROC_DAMAGED,
	TICKPROC_STOPPED,  /* the writer ended in order */
	TICKPROC_REPLACED, /* a later writer has begun: open again */
	TICKPROC_SILENT,   /* the writer gives no sign of life */
	TICKPROC_SYSTEM    /* see errno */
};

static inline const char *tickproc_error(int e)
{
	static const char *const text[] = {"no error", "there is no shared memory: is the service running, with shm: on?",
		"the shared memory is of another version: use the reader that came with the running tickproc",
		"the shared memory is damaged", "the writer has stopped", "a later writer has begun: open again",
		"the writer gives no sign of life", "the system refused a file"};
	return e >= 0 && e < (int)(sizeof text / sizeof *text) ? text[e] : "unknown error";
}

struct tickproc_map {
	const unsigned char *at;
	size_t size;
};

struct tickproc_shm {
	struct tickproc_map directory, ring[TICKPROC_RINGS_MAX];
	int rings, levels;
	uint32_t capacity; /* instruments */
	uint64_t epoch, instruments_at, images_at, image_size;
};

struct tickproc_ring {
	const unsigned char *slots;
	const unsigned char *published;
	uint64_t mask, next, lost, passed;
};

/* A copy of a message: word[0] head, word[1] time, word[2] receive time, and so on. */
struct tickproc_message {
	uint64_t position, lost; /* slots that were overwritten unread just before it */
	int words;
	uint64_t word[TICKPROC_MESSAGE_SLOTS_MAX * TICKPROC_PAYLOAD_WORDS];
};

static inline unsigned tickproc_kind(const struct tickproc_message *m) { return m->word[0] & 0xff; }
static inline unsigned tickproc_flags(const struct tickproc_message *m) { return m->word[0] >> 8 & 0xff; }
static inline unsigned tickproc_price_digits(const struct tickproc_message *m) { return m->word[0] >> 16 & 0xff; }
static inline unsigned tickproc_size_digits(const struct tickproc_message *m) { return m->word[0] >> 24 & 0xff; }
static inline uint32_t tickproc_instrument_of(const struct tickproc_message *m) { return (uint32_t)(m->word[0] >> 32); }
static inline int64_t tickproc_time(const struct tickproc_message *m) { return (int64_t)m->word[1]; }
static inline int64_t tickproc_receive_time(const struct tickproc_message *m) { return (int64_t)m->word[2]; }

/* Of a depth message: how many levels it holds, and how many of them are bids. The
 * i-th is a price at word[5 + 2i] and a size behind it. */
static inline int tickproc_depth_levels(const struct tickproc_message *m, int *bids)
{
	int levels = (int)(m->word[4] >> 16 & 0xffff), most = m->words > 5 ? (m->words - 5) / 2 : 0;
	if (levels > most)
		levels = most;
	*bids = (int)(m->word[4] & 0xffff);
	if (*bids > levels)
		*bids = levels;
	return levels;
}

static inline uint64_t tickproc_load(const unsigned char *at, int order)
{
	return __atomic_load_n((const uint64_t *)(const void *)at, order);
}
static inline uint64_t tickproc_u64(const unsigned char *at) { uint64_t v; memcpy(&v, at, 8); return v; }
static inline uint32_t tickproc_u32(const unsigned char *at) { uint32_t v; memcpy(&v, at, 4); return v; }

static inline int tickproc_map_file(const char *name, size_t least, struct tickproc_map *m)
{
	int fd = open(name, O_RDONLY);
	if (fd < 0)
		return errno == ENOENT ? TICKPROC_NONE : TICKPROC_SYSTEM;
	struct stat s;
	int e = 0;
	if (fstat(fd, &s) != 0)
		e = TICKPROC_SYSTEM;
	else if (!S_ISREG(s.st_mode) || s.st_size < (off_t)least || s.st_size > ((off_t)1 << 40) || s.st_size % 8 != 0)
		e = TICKPROC_DAMAGED;
	if (!e) {
		int flags = MAP_SHARED;
#ifdef MAP_POPULATE
		flags |= MAP_POPULATE; /* no page is missing when it is first read */
#endif
		void *at = mmap(NULL, (size_t)s.st_size, PROT_READ, flags, fd, 0);
		if (at == MAP_FAILED)
			e = TICKPROC_SYSTEM;
		else
			m->at = (const unsigned char *)at, m->size = (size_t)s.st_size;
	}
	close(fd);
	return e;
}

static inline void tickproc_close(struct tickproc_shm *s)
{
	for (int i = 0; i < TICKPROC_RINGS_MAX; i++)
		if (s->ring[i].at)
			munmap((void *)(uintptr_t)s->ring[i].at, s->ring[i].size);
	if (s->directory.at)
		munmap((void *)(uintptr_t)s->directory.at, s->directory.size);
	memset(s, 0, sizeof *s);
}

static inline int tickproc_part(const struct tickproc_shm *s, uint64_t at, uint64_t size)
{
	return at % 8 == 0 && at >= 4096 && at <= s->directory.size && s->directory.size - at >= size;
}

static inline int tickproc_open_once(struct tickproc_shm *s, const char *dir)
{
	char name[4096];
	memset(s, 0, sizeof *s);
	if (snprintf(name, sizeof name, "%s/directory", dir) >= (int)sizeof name)
		return TICKPROC_NONE;
	int e = tickproc_map_file(name, 4096, &s->directory);
	if (e)
		return e;
	const unsigned char *d = s->directory.at;
	if (tickproc_u64(d) != TICKPROC_DIRECTORY_MAGIC)
		return TICKPROC_DAMAGED;
	if (tickproc_u32(d + 8) != TICKPROC_VERSION)
		return TICKPROC_OTHER_VERSION;
	uint32_t rings = tickproc_u32(d + 56), levels = tickproc_u32(d + 60);
	s->capacity = tickproc_u32(d + 64);
	s->epoch = tickproc_u64(d + 16);
	s->instruments_at = tickproc_u64(d + 88);
	s->images_at = tickproc_u64(d + 96);
	s->image_size = tickproc_u64(d + 104);
	uint64_t rings_at = tickproc_u64(d + 80);
	if (rings == 0 || rings > TICKPROC_RINGS_MAX || levels == 0 || levels > TICKPROC_LEVELS_MAX || s->capacity == 0 || s->capacity > 1u << 20 ||
	    tickproc_u32(d + 68) != 256 || s->image_size != 8 * ((24 + 4 * (uint64_t)levels + 7) / 8 * 8) || tickproc_u64(d + 112) != s->directory.size ||
	    !tickproc_part(s, rings_at, 64 * (uint64_t)rings) || !tickproc_part(s, s->instruments_at, 256 * (uint64_t)s->capacity) ||
	    !tickproc_part(s, s->images_at, s->image_size * s->capacity))
		return TICKPROC_DAMAGED;
	s->levels = (int)levels;
	switch (tickproc_load(d + 48, __ATOMIC_ACQUIRE)) {
	case 2: return TICKPROC_STOPPED;
	case 3: return TICKPROC_REPLACED;
	}
	for (uint32_t i = 0; i < rings; i++) {
		const unsigned char *entry = d + rings_at + 64 * i;
		char file[49] = {0};
		memcpy(file, entry, 48);
		if (!*file || strchr(file, '/') || !strcmp(file, "..") || snprintf(name, sizeof name, "%s/%s", dir, file) >= (int)sizeof name)
			return TICKPROC_DAMAGED;
		if ((e = tickproc_map_file(name, 4096, &s->ring[i])))
			return e == TICKPROC_NONE ? TICKPROC_REPLACED : e;
		const unsigned char *r = s->ring[i].at;
		uint64_t slots = tickproc_u64(r + 32);
		if (tickproc_u64(r) != TICKPROC_RING_MAGIC || tickproc_u64(r + 16) != s->epoch || tickproc_u32(r + 24) != i)
			return TICKPROC_DAMAGED;
		if (tickproc_u32(r + 8) != TICKPROC_VERSION)
			return TICKPROC_OTHER_VERSION;
		if (slots < 1024 || slots > 1u << 30 || (slots & (slots - 1)) || tickproc_u32(r + 12) != 4096 || tickproc_u32(r + 28) != 64 || s->ring[i].size != 4096 + 64 * slots)
			return TICKPROC_DAMAGED;
		s->rings = (int)i + 1;
	}
	return 0;
}

/* Maps what is in a folder. 0, or one of tickproc_errors; then nothing is open. */
static inline int tickproc_open(struct tickproc_shm *s, const char *dir)
{
	int e = 0;
	for (int i = 0; i < 5; i++) { /* a writer may be taking another's place */
		if (!(e = tickproc_open_once(s, dir)))
			return 0;
		tickproc_close(s);
		if (e != TICKPROC_REPLACED)
			break;
	}
	return e;
}

/* 0 while the writer lives; now_ns is of CLOCK_REALTIME. */
static inline int tickproc_alive(const struct tickproc_shm *s, int64_t now_ns)
{
	switch (tickproc_load(s->directory.at + 48, __ATOMIC_ACQUIRE)) {
	case 2: return TICKPROC_STOPPED;
	case 3: return TICKPROC_REPLACED;
	}
	return now_ns - (int64_t)tickproc_load(s->directory.at + 40, __ATOMIC_ACQUIRE) > TICKPROC_STALE_NS ? TICKPROC_SILENT : 0;
}

/* Begins to read a shard's ring with what comes next. */
static inline void tickproc_join(const struct tickproc_shm *s, int shard, struct tickproc_ring *r)
{
	memset(r, 0, sizeof *r);
	r->slots = s->ring[shard].at + 4096;
	r->published = s->ring[shard].at + 64;
	r->mask = (s->ring[shard].size - 4096) / 64 - 1;
	r->next = tickproc_load(r->published, __ATOMIC_ACQUIRE);
}

static inline const unsigned char *tickproc_slot(const struct tickproc_ring *r, uint64_t position) { return r->slots + (position & r->mask) * 64; }

static inline int tickproc_copy(const struct tickproc_ring *r, struct tickproc_message *m, int slots)
{
	for (int i = 0; i < slots; i++) {
		uint64_t at = r->next + (uint64_t)i;
		const unsigned char *from = tickproc_slot(r, at);
		for (int w = 0; w < TICKPROC_PAYLOAD_WORDS; w++)
			m->word[i * TICKPROC_PAYLOAD_WORDS + w] = tickproc_load(from + 8 * (w + 1), __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (tickproc_load(from, __ATOMIC_RELAXED) != (at << 8 | (i ? 255u : (unsigned)slots)))
			return 0;
	}
	m->words = slots * TICKPROC_PAYLOAD_WORDS;
	return 1;
}

/* Who was overtaken goes on half a ring behind the writer. */
static inline void tickproc_resume(struct tickproc_ring *r)
{
	uint64_t end = tickproc_load(r->published, __ATOMIC_ACQUIRE), half = (r->mask + 1) / 2;
	uint64_t at = end - (end < half ? end : half);
	if (at < r->next)
		at = r->next;
	for (; at < end; at++) {
		uint64_t mark = tickproc_load(tickproc_slot(r, at), __ATOMIC_ACQUIRE);
		if (mark >> 8 == at && (mark & 0xff) != 0 && (mark & 0xff) <= TICKPROC_MESSAGE_SLOTS_MAX)
			break;
	}
	r->lost += at - r->next;
	r->passed += at - r->next;
	r->next = at;
}

/* Copies the next message; 0 if there is none now. */
static inline int tickproc_next(struct tickproc_ring *r, struct tickproc_message *m)
{
	for (int i = 0; i < 4; i++) {
		uint64_t mark = tickproc_load(tickproc_slot(r, r->next), __ATOMIC_ACQUIRE), position = mark >> 8;
		unsigned what = mark & 0xff;
		if (position < r->next || (position == r->next && what == 0))
			return 0;
		if (position == r->next && what <= TICKPROC_MESSAGE_SLOTS_MAX && tickproc_copy(r, m, (int)what)) {
			m->position = r->next;
			m->lost = r->passed;
			r->next += what;
			r->passed = 0;
			return 1;
		}
		tickproc_resume(r);
	}
	return 0;
}

/* Copies words that a sequence guards; 0 if there is nothing, or the writer died
 * in the middle. */
static inline int tickproc_locked(const unsigned char *from, uint64_t *to, int words)
{
	for (int i = 0; i < 1000; i++) {
		uint64_t before = tickproc_load(from, __ATOMIC_ACQUIRE);
		if (before == 0)
			return 0;
		if (before & 1)
			continue;
		for (int w = 0; w < words; w++)
			to[w] = tickproc_load(from + 8 * w, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (tickproc_load(from, __ATOMIC_RELAXED) == before)
			return 1;
	}
	return 0;
}

struct tickproc_instrument {
	uint32_t id;
	unsigned shard, type, inverse, price_digits, size_digits, state, channels, truncate;
	int64_t tick, lot, contract, expiry_ns;
	unsigned tick_digits, lot_digits, contract_digits;
	char venue[25], base[25], quote[25], underlying[25], symbol[65];
};

/* How many instruments there may be: ids below it. */
static inline uint32_t tickproc_instruments(const struct tickproc_shm *s)
{
	uint64_t n = tickproc_load(s->directory.at + 72, __ATOMIC_ACQUIRE);
	return n < s->capacity ? (uint32_t)n : s->capacity;
}

/* Reads a definition; 0 if there is none. */
static inline int tickproc_instrument(const struct tickproc_shm *s, uint32_t id, struct tickproc_instrument *in)
{
	uint64_t words[32];
	const unsigned char *b = (const unsigned char *)words;
	if (id >= s->capacity || !tickproc_locked(s->directory.at + s->instruments_at + 256 * (uint64_t)id, words, 32))
		return 0;
	memset(in, 0, sizeof *in);
	in->id = id;
	in->shard = b[12] | b[13] << 8;
	in->type = b[14], in->inverse = b[15], in->price_digits = b[16], in->size_digits = b[17], in->state = b[18], in->channels = b[19];
	in->truncate = b[20] | b[21] << 8;
	in->tick_digits = b[22], in->lot_digits = b[23], in->contract_digits = b[48];
	in->tick = (int64_t)words[3], in->lot = (int64_t)words[4], in->contract = (int64_t)words[5], in->expiry_ns = (int64_t)words[7];
	memcpy(in->venue, b + 64, 24), memcpy(in->base, b + 88, 24), memcpy(in->quote, b + 112, 24), memcpy(in->underlying, b + 136, 24), memcpy(in->symbol, b + 160, 64);
	return 1;
}

struct tickproc_image {
	uint64_t position; /* messages of the ring before it are in the image */
	uint64_t head;     /* bit 0 the book is the venue's; reason, digits, instrument as in docs/shm.md */
	int bids, asks;
	uint64_t word[24 + 4 * TICKPROC_LEVELS_MAX + 8];
	const uint64_t *bid, *ask; /* price, size, price, …; within word */
};

/* Reads how an instrument stands; 0 if nobody said. */
static inline int tickproc_image(const struct tickproc_shm *s, uint32_t id, struct tickproc_image *x)
{
	if (id >= s->capacity || !tickproc_locked(s->directory.at + s->images_at + s->image_size * id, x->word, (int)(s->image_size / 8)))
		return 0;
	x->position = x->word[1];
	x->head = x->word[2];
	x->bids = (int)(x->word[7] & 0xffff), x->asks = (int)(x->word[7] >> 16 & 0xffff);
	if (x->bids > s->levels)
		x->bids = s->levels;
	if (x->asks > s->levels)
		x->asks = s->levels;
	x->bid = x->word + 24;
	x->ask = x->word + 24 + 2 * s->levels;
	return 1;
}

#endif
