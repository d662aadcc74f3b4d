#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { DATE_SIZE = 48 }; /* room for any of these */

/* "Tue, 09 Aug 2011 14:21:58 +0800 (CST)", local time; RFC 5322 3.3, with zone name as MTAs add it
 * when named. */
void date_rfc5322(char out[DATE_SIZE], time_t when, bool named);
/* "Tue Aug  9 14:21:58 2011", local time: the mbox From_ line (asctime). */
void date_asctime(char out[DATE_SIZE], time_t when);
/* "09-Aug-2011 14:21:58 +0800": RFC 3501 date-time. */
void date_imap(char out[DATE_SIZE], time_t when);
/*
 * Parse an RFC 5322 date (with obsolete zones, comments, missing weekday or
 * seconds). True with seconds since 1970 and the zone in minutes.
 */
bool date_parse_rfc5322(const char *text, size_t len, time_t *when_r, int *zone_r);
/* Parse an asctime date as mbox From_ lines carry it, zone after or before the year allowed. */
bool date_parse_asctime(const char *text, size_t len, time_t *when_r);
/* Parse an RFC 3501 date-time (with " " padded day). */
bool date_parse_imap(const char *text, size_t len, time_t *when_r);
/*
 * Once, as a process begins: without TZ and /etc/localtime the first line of /etc/TZ
 * becomes TZ (OpenWrt's libc reads it, others do not).
 */
void date_find_zone(void);
/* Days since 1970-01-01 of a civil date (proleptic Gregorian). */
int64_t date_days(int year, int month, int day);

#endif
