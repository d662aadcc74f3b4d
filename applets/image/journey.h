/* journey.h - the journey of a mail through a running server, step by step */
#ifndef APPLETS_IMAGE_JOURNEY_H
#define APPLETS_IMAGE_JOURNEY_H

/* Walk all steps against the server on this host's loopback address, printing
 * a line for each. Returns how many failed; what depends on a failed step is
 * still tried. Bounded: no step waits longer than 30 seconds. */
int journey_run(void);

/* Print "initramfs: ok NAME", or with an error "initramfs: not ok NAME: error";
 * 1 for an error, else 0. */
int journey_step(const char *name, const char *error);

/* Print how many steps went well, and after a failure the end of the log. */
void journey_summary(void);

#endif
