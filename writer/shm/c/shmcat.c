/*
 * Prints the messages of a tickproc's shared memory:
 *
 *   cc -std=c11 -O2 -o shmcat shmcat.c
 *   ./shmcat DIR            trades and quotes, until the writer stops
 *   ./shmcat --words DIR    every message as numbers: position, then its words
 *   ./shmcat --images DIR   how each instrument stands, and ends
 */
#define _POSIX_C_SOURCE 200809L
#include "tickproc_shm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A scaled integer as decimal text. */
static void print_scaled(const char *name, int64_t v, unsigned digits)
{
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, unit = 1;
	if (digits > 18)
		digits = 18;
	for (unsigned i = 0; i < digits; i++)
		unit *= 10;
	printf(" %s=%s%" PRIu64, name, v < 0 ? "-" : "", u / unit);
	if (digits)
		printf(".%0*" PRIu64, (int)digits, u % unit);
}

static void print_message(const struct tickproc_shm *s, const struct tickproc_message *m)
{
	static const char *const names[] = {"price", "size", "bid", "bid_size", "ask", "ask_size"};
	struct tickproc_instrument in;
	unsigned kind = tickproc_kind(m);
	if ((kind != TICKPROC_TRADE && kind != TICKPROC_QUOTE) || !tickproc_instrument(s, tickproc_instrument_of(m), &in))
		return;
	printf("%" PRId64 " %s %s %s", tickproc_time(m), in.venue, in.symbol, kind == TICKPROC_TRADE ? "trade" : "quote");
	if (kind == TICKPROC_TRADE)
		printf(" %s", tickproc_flags(m) & TICKPROC_SELL ? "sell" : "buy");
	for (int i = 0; i < (kind == TICKPROC_TRADE ? 2 : 4); i++)
		print_scaled(names[i + (kind == TICKPROC_TRADE ? 0 : 2)], (int64_t)m->word[3 + i], i % 2 ? tickproc_size_digits(m) : tickproc_price_digits(m));
	printf("\n");
}

static void print_words(int shard, const struct tickproc_message *m)
{
	printf("%d %" PRIu64, shard, m->position);
	for (int i = 0; i < m->words; i++)
		printf(" %" PRIx64, m->word[i]);
	printf("\n");
}

static void print_images(const struct tickproc_shm *s)
{
	for (uint32_t id = 0; id < tickproc_instruments(s); id++) {
		struct tickproc_instrument in;
		static struct tickproc_image x;
		if (!tickproc_instrument(s, id, &in) || !tickproc_image(s, id, &x))
			continue;
		printf("%s %s %s position=%" PRIu64 " last_id=%" PRIu64 " bids=%d asks=%d", in.venue, in.symbol, x.head & 1 ? "valid" : "invalid", x.position, x.word[5], x.bids, x.asks);
		for (int i = 0; i < x.bids; i++)
			printf(" %" PRId64 "x%" PRId64, (int64_t)x.bid[2 * i], (int64_t)x.bid[2 * i + 1]);
		printf(" |");
		for (int i = 0; i < x.asks; i++)
			printf(" %" PRId64 "x%" PRId64, (int64_t)x.ask[2 * i], (int64_t)x.ask[2 * i + 1]);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	int words = argc == 3 && !strcmp(argv[1], "--words"), images = argc == 3 && !strcmp(argv[1], "--images");
	if (argc != 2 + (words || images)) {
		fprintf(stderr, "usage: shmcat [--words|--images] DIR\n");
		return 2;
	}
	static struct tickproc_shm s;
	static struct tickproc_message m;
	static struct tickproc_ring ring[TICKPROC_RINGS_MAX];
	int e = tickproc_open(&s, argv[argc - 1]);
	if (e) {
		fprintf(stderr, "shmcat: %s: %s\n", argv[argc - 1], tickproc_error(e));
		return 3;
	}
	if (images) {
		print_images(&s);
		tickproc_close(&s);
		return 0;
	}
	for (int i = 0; i < s.rings; i++)
		tickproc_join(&s, i, &ring[i]);
	fprintf(stderr, "following epoch %" PRIu64 "\n", s.epoch);
	for (;;) {
		/* Asked before the rings are read: what a writer said before it stopped is there. */
		int ended = tickproc_alive(&s, now_ns()), moved = 0;
		for (int i = 0; i < s.rings; i++)
			while (tickproc_next(&ring[i], &m)) {
				moved = 1;
				if (m.lost)
					fprintf(stderr, "lost %" PRIu64 " slots\n", m.lost);
				if (words)
					print_words(i, &m);
				else
					print_message(&s, &m);
			}
		if (moved)
			continue;
		fflush(stdout);
		if (ended) {
			fprintf(stderr, "shmcat: %s\n", tickproc_error(ended));
			tickproc_close(&s);
			return ended == TICKPROC_STOPPED ? 0 : 3;
		}
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}
