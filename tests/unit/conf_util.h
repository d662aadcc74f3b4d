/* conf_util.h - a main.cf for the unit tests */
#ifndef TESTS_UNIT_CONF_UTIL_H
#define TESTS_UNIT_CONF_UTIL_H

/*
 * From now on the configuration is everything by default, host mx.example, the test's directory as
 * queue_directory, and these lines. It is loaded again at each call.
 */
void conf_util_load(const char *lines);

#endif
