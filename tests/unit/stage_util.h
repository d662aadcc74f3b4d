/* stage_util.h - a stage of message/pipeline.h that waits in the loop, for the unit tests */
#ifndef TESTS_UNIT_STAGE_UTIL_H
#define TESTS_UNIT_STAGE_UTIL_H

#include "message/pipeline.h"

enum stage_moment { STAGE_NEVER, STAGE_BEGIN, STAGE_HEADER, STAGE_BODY, STAGE_END, STAGE_MOMENTS };

/*
 * From now on each new pipeline of this process has a stage that lets all through, but waits once
 * at this moment, for some milliseconds, and then says result; "5.7.1 not this one" if a refusal.
 */
void stage_util_wait(enum stage_moment moment, int ms, enum pipeline_status result);
/* How many have waited, and how many do now; since the last stage_util_wait(). */
int stage_util_waited(void);
int stage_util_waiting(void);

#endif
