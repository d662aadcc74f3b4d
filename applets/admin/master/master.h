#ifndef APPLETS_ADMIN_MASTER_MASTER_H
#define APPLETS_ADMIN_MASTER_MASTER_H

#include "applets/daemon/sv_config.h"

/* main.cf is loaded: what master.cf in dir says is served. 0; -1 with a text (caller frees). */
int master_services(const char *dir, struct sv_config *out, char **error_r);

#endif
