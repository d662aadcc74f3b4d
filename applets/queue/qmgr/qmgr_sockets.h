#ifndef APPLETS_QMGR_SOCKETS_H
#define APPLETS_QMGR_SOCKETS_H

#include <stdbool.h>

struct qmgr;

/* The names under public/ (control.c, showq_service.c). */
void control_start(struct qmgr *m);
void control_stop(struct qmgr *m);
void showq_start(struct qmgr *m);
void showq_stop(struct qmgr *m, bool for_good); /* else a successor has the name, or will */

#endif
