#ifndef MESSAGE_CANONICAL_STAGE_H
#define MESSAGE_CANONICAL_STAGE_H

#include "message/pipeline.h"

/*
 * Addresses of headers through address/canonical.h: of mail whose headers are rewritten at all
 * (CLEANUP_* flags of the pipeline), when a table is set that changes any.
 */
void canonical_stage_add(struct pipeline *p, unsigned flags);

#endif
