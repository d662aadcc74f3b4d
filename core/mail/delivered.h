#ifndef MAIL_DELIVERED_H
#define MAIL_DELIVERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * What tells a message that our delivery agent put into a mailbox: the queue id in its first
 * Received header, the addresses above it, and how long its content is.
 */
enum {
	DELIVERED_ID_SIZE = 24,
	DELIVERED_HEAD =
		16 * 1024 /* of a message: the added lines and the first Received are in it */
};

/* The beginning of a message, taken apart. Slices point into it. */
struct delivered_head {
	bool ours;                        /* it begins with the Return-Path that we add */
	struct slice original, recipient; /* values of the added lines; ptr NULL: none */
	size_t content;                   /* where the content begins */
	struct slice received; /* the first Received header with its continuation lines */
	bool received_whole;   /* and its end is there too */
};

/* The header lines begin at start, behind the From_ line of an mbox. */
void delivered_parse(struct delivered_head *h, const char *data, size_t len, size_t start);
/* The next word after " id " in a Received header; false: no more. */
bool delivered_next_id(struct slice *rest, char id[DELIVERED_ID_SIZE]);

#endif
