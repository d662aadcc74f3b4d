/*
 * postmap - make and ask lookup tables; also postalias and newaliases
 *
 *	postmap [options] [type:]file...
 *
 * Without -q, -d, -s: read file, write file.db. The new table takes the place of
 * the old when it is whole and on the disk; an error leaves the old one. Rows
 * that cannot be read are warned of with their line; NUL bytes and lines above
 * 1 MiB are errors.
 *
 * The name we are called by says what the source is: postmap "key value",
 * postalias aliases(5). newaliases makes all indexed tables of alias_database.
 * Exit status: 0 done or found, 1 not found or an error.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lines.h"
#include "conf/params.h"
#include "map/map.h"
#include "map/map_source.h"
#include "applets/applets.h"

enum { VALUE_FILE_MAX = 10 * 1024 * 1024, READ_SIZE = 65536 };

static struct G {
	bool alias;            /* postalias */
	bool values_are_files; /* -F */
	bool exact;            /* -f */
	bool incremental;      /* -i */
	bool sequence;         /* -s */
	bool json;             /* -j */
	bool header, body;     /* -h, -b */
	unsigned build_flags;
	const char *query, *delete;
} G;

/* load_config - main.cf; where nothing names a directory it need not be there */
static void load_config(const char *dash_c)
{
	const char *env = getenv("MAIL_CONFIG");
	char *error = NULL;

	if (conf_load(conf_dir(dash_c), dash_c == NULL && (env == NULL || *env == '\0'), &error) !=
		0) {
		log_fatal("%s", error);
	}
}

static unsigned map_flags(void)
{
	return (G.alias ? MAP_SOURCE_ALIAS : 0) | (G.exact ? MAP_EXACT : 0);
}

/* open_table - or end */
static struct map *open_table(const char *spec)
{
	char *error = NULL;
	struct map *m = map_open(spec, map_flags(), &error);

	if (m == NULL) {
		log_fatal("%s: %s", spec, error);
	}
	return m;
}

/* ---- Making ---- */

struct making {
	struct map_builder *builder;
	const char *path;
};

/* add_row - one row of the source */
static int add_row(void *arg, const char *key, const char *value, int line)
{
	struct making *m = arg;
	struct buf encoded = BUF_INIT;
	char *data;
	size_t len;
	int rc;

	if (!G.values_are_files) {
		return map_build_put(m->builder, key, value) < 0 ? -1 : 0;
	}
	/* With the rights of the source's owner, as the source itself (make_table). */
	data = file_read(value, VALUE_FILE_MAX, &len);
	if (data == NULL) {
		log_error("%s, line %d: open %s: %s", m->path, line, value, strerror(errno));
		return -1;
	}
	base64_encode(&encoded, data, len);
	rc = map_build_put(m->builder, key, buf_str(&encoded));
	buf_free(&encoded);
	mem_free(data);
	return rc < 0 ? -1 : 0;
}

/*
 * make_table - path.db from path, or with -i from stdin; 0 or 1, errors are logged. Root reads a
 * source with the rights of its owner, and writes the table with those of the directory's.
 */
static int make_table(const char *path)
{
	struct making m = { .path = path };
	struct identity_saved id;
	struct lines lines;
	char *error = NULL;
	int rc;

	m.builder = map_build_begin(path, G.build_flags, &error);
	if (m.builder == NULL) {
		log_fatal("%s", error);
	}
	if (identity_enter_path(&id, path) != 0) {
		log_fatal("open %s: %s", path, strerror(errno));
	}
	if (G.incremental) {
		lines_open_fd(&lines, STDIN_FILENO);
	} else if (lines_open(&lines, path) != 0) {
		log_fatal("open %s: %s", path, strerror(errno));
	}
	rc = map_source_read(&lines, G.incremental ? "stdin" : path,
		(G.alias ? SOURCE_ALIAS : 0) | (G.exact ? SOURCE_EXACT : 0), add_row, &m, &error);
	lines_close(&lines);
	identity_leave(&id);
	if (rc == 0) {
		rc = map_build_commit(m.builder);
	}
	if (rc != 0 && (error != NULL || *map_build_error(m.builder) != '\0')) {
		log_error("%s", error != NULL ? error : map_build_error(m.builder));
	}
	mem_free(error);
	map_build_abort(m.builder);
	return rc != 0;
}

/* split_spec - "type:path"; the path, the type in *type (caller frees) */
static const char *split_spec(const char *spec, char **type)
{
	const char *colon = strchr(spec, ':');

	*type = colon != NULL ? mem_strndup(spec, (size_t)(colon - spec))
			      : mem_strdup(param.default_database_type);
	return colon != NULL ? colon + 1 : spec;
}

static int make_one(const char *spec)
{
	char *type, *error = NULL;
	const char *path = split_spec(spec, &type);
	struct map *m;
	int rc = 1;

	if (map_type_is_indexed(type)) {
		rc = make_table(path);
	} else {
		/* A type we do not have is another mistake than one that needs no making. */
		m = map_open(spec, 0, &error);
		log_error("%s: %s", spec,
			m != NULL ? "tables of this type are not made but used as they are"
				  : error);
		map_close(m);
		mem_free(error);
	}
	mem_free(type);
	return rc;
}

/*
 * newaliases_run - every indexed table of alias_database anew, as newaliases and `sendmail -bi` do.
 * Configuration and log are open. 0, or 1 when one could not be built (which is logged; the
 * others are).
 */
static int newaliases_run(void)
{
	struct slice rest = slice_of(param.alias_database), word;
	char *spec, *type;
	int rc = 0;

	G.alias = true;
	while ((word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		spec = mem_strndup(word.ptr, word.len);
		split_spec(spec, &type);
		if (map_type_is_indexed(type)) {
			rc |= make_one(spec);
		} else {
			log_debug(1, "%s: tables of this type are not made: skipped", spec);
		}
		mem_free(type);
		mem_free(spec);
	}
	return rc;
}

/* ---- Asking ---- */

/* print_value - decoded with -F */
static void print_value(const char *key, const char *value)
{
	struct buf decoded = BUF_INIT;

	if (G.json) {
		buf_addc(&decoded, '{');
		json_encode(&decoded, key != NULL ? key : G.query);
		buf_adds(&decoded, ": ");
		json_encode(&decoded, value);
		printf("%s}\n", decoded.data);
		buf_free(&decoded);
		return;
	}
	if (key != NULL) {
		printf(G.alias ? "%s:\t" : "%s\t", key);
	}
	if (G.values_are_files) {
		if (!base64_decode(&decoded, value, strlen(value))) {
			log_fatal(
				"key %s: value is not base64 encoded", key != NULL ? key : G.query);
		}
		fwrite(buf_str(&decoded), 1, decoded.len, stdout);
		buf_free(&decoded);
	} else {
		fputs(value, stdout);
	}
	putchar('\n');
}

static int print_row(void *arg, const char *key, const char *value)
{
	(void)arg;
	print_value(key, value);
	return 0;
}

/* ask_all - key in the tables, in order; 1 found, 0; errors end us */
static int ask_all(struct map **tables, const char *key, bool show_key)
{
	struct buf value = BUF_INIT;
	int rc = 0;

	for (; *tables != NULL && rc == 0; tables++) {
		rc = map_get(*tables, key, &value);
		/* What it was has been logged. */
		if (rc < 0) {
			log_fatal("table %s: query error", map_spec(*tables));
		}
	}
	if (rc > 0) {
		print_value(show_key ? key : NULL, buf_str(&value));
	}
	buf_free(&value);
	return rc;
}

/* Standard input, and what of it is read and not yet a line. */
struct input {
	struct buf data;
	bool ended;
};

/*
 * fill - read on. The answers so far go out before: who asks through a pair of pipes waits for them
 * before the next question comes.
 */
static void fill(struct input *in)
{
	ssize_t n;

	if (fflush(stdout) != 0) {
		log_fatal("write: %s", strerror(errno));
	}
	do {
		n = read(STDIN_FILENO, buf_reserve(&in->data, READ_SIZE), READ_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		log_fatal("read: %s", strerror(errno));
	}
	buf_added(&in->data, (size_t)n);
	in->ended = n == 0;
}

/* read_line - the next one, without its end; false at the end */
static bool read_line(struct input *in, struct buf *line)
{
	const char *nl = NULL;
	size_t seen = 0, len;

	for (;;) {
		nl = memchr(buf_head(&in->data) + seen, '\n', buf_unread(&in->data) - seen);
		if (nl != NULL || in->ended) {
			break;
		}
		seen = buf_unread(&in->data);
		fill(in);
	}
	len = nl != NULL ? (size_t)(nl - buf_head(&in->data)) : buf_unread(&in->data);
	buf_reset(line);
	buf_add(line, buf_head(&in->data), len);
	if (len > 0 && line->data[len - 1] == '\r') {
		buf_truncate(line, len - 1);
	}
	buf_consume(&in->data, len + (nl != NULL));
	return nl != NULL || len > 0;
}

/* ask_stdin - each line is a key */
static int ask_stdin(struct map **tables)
{
	struct input in = { .ended = false };
	struct buf line = BUF_INIT;
	int found = 0;

	while (read_line(&in, &line)) {
		found |= ask_all(tables, buf_str(&line), true);
	}
	buf_free(&line);
	buf_free(&in.data);
	return found;
}

/* ask_message - stdin is a message: its headers (-h) and lines (-b) are keys */
static int ask_message(struct map **tables)
{
	struct input in = { .ended = false };
	struct buf header = BUF_INIT, line = BUF_INIT;
	int found = 0;
	bool in_body = false;

	while (read_line(&in, &line)) {
		if (in_body) {
			found |= G.body ? ask_all(tables, buf_str(&line), true) : 0;
			continue;
		}
		if (header.len > 0 && (line.len == 0 || !strchr(" \t", line.data[0]))) {
			found |= G.header ? ask_all(tables, buf_str(&header), true) : 0;
			buf_reset(&header);
		}
		if (line.len == 0) {
			in_body = true;
			continue;
		}
		if (header.len > 0) {
			buf_addc(&header, '\n');
		}
		buf_adds(&header, buf_str(&line));
	}
	if (header.len > 0 && G.header) {
		found |= ask_all(tables, buf_str(&header), true);
	}
	buf_free(&header);
	buf_free(&line);
	buf_free(&in.data);
	return found;
}

static struct map **open_tables(char **specs)
{
	size_t count = 0;
	struct map **tables;

	while (specs[count] != NULL) {
		count++;
	}
	tables = mem_calloc(count + 1, sizeof(*tables));
	for (size_t i = 0; i < count; i++) {
		tables[i] = open_table(specs[i]);
	}
	return tables;
}

static int run_query(char **specs)
{
	struct map **tables = open_tables(specs);
	int found;

	if (strcmp(G.query, "-") != 0) {
		found = ask_all(tables, G.query, false);
	} else if (G.header || G.body) {
		found = ask_message(tables);
	} else {
		found = ask_stdin(tables);
	}
	for (struct map **m = tables; *m != NULL; m++) {
		map_close(*m);
	}
	mem_free(tables);
	return found > 0 ? 0 : 1;
}

static int run_sequence(char **specs)
{
	int rc = 0;

	for (; *specs != NULL; specs++) {
		struct map *m = open_table(*specs);

		if (map_each(m, print_row, NULL) != 0) {
			rc = 1;
		}
		map_close(m);
	}
	return rc;
}

/* delete_from - the key, or those of keys, from one table; 1 when any was there */
static int delete_from(const char *spec, struct buf *keys)
{
	char *type, *error = NULL, *key;
	const char *path = split_spec(spec, &type);
	struct map_builder *b;
	struct buf db = BUF_INIT;
	int found = 0;

	if (!map_type_is_indexed(type)) {
		log_fatal("%s: keys of such a table cannot be deleted", spec);
	}
	buf_addf(&db, "%s.db", path);
	if (access(db.data, F_OK) != 0) {
		log_fatal("open database %s: %s", db.data, strerror(errno));
	}
	b = map_build_begin(path, MAP_INCREMENTAL, &error);
	if (b == NULL) {
		log_fatal("%s", error);
	}
	for (size_t at = 0; at < keys->len; at += strlen(key) + 1) {
		key = keys->data + at;
		if (!G.exact) {
			str_lower(key);
		}
		found |= map_build_del(b, key) > 0;
	}
	if (found && map_build_commit(b) != 0) {
		log_fatal("%s", map_build_error(b));
	}
	map_build_abort(b);
	buf_free(&db);
	mem_free(type);
	return found;
}

static int run_delete(char **specs)
{
	struct input in = { .ended = false };
	struct buf keys = BUF_INIT, line = BUF_INIT;
	int found = 0;

	if (strcmp(G.delete, "-") != 0) {
		buf_add(&keys, G.delete, strlen(G.delete) + 1);
	} else {
		while (read_line(&in, &line)) {
			buf_add(&keys, buf_str(&line), strlen(buf_str(&line)) + 1);
		}
	}
	for (; *specs != NULL; specs++) {
		found |= delete_from(*specs, &keys);
	}
	buf_free(&keys);
	buf_free(&line);
	buf_free(&in.data);
	return found ? 0 : 1;
}

/* ---- Options ---- */

/* take_option - one letter of postmap or postalias; false: unknown */
static bool take_option(int opt)
{
	switch (opt) {
	case 'b':
		G.body = true;
		return true;
	case 'd':
		G.delete = optarg;
		return true;
	case 'f':
		G.exact = true;
		return true;
	case 'F':
		G.values_are_files = true;
		return true;
	case 'h':
		G.header = true;
		return true;
	case 'i':
		G.incremental = true;
		G.build_flags |= MAP_INCREMENTAL;
		return true;
	case 'j':
		G.json = true;
		return true;
	case 'q':
		G.query = optarg;
		return true;
	case 'r':
		G.build_flags |= MAP_REPLACE_DUP;
		return true;
	case 's':
		G.sequence = true;
		return true;
	case 'w':
		G.build_flags |= MAP_IGNORE_DUP;
		return true;
	/*
	 * Modes of the files (-p, -o), NULs (-n, -N), UTF-8 (-u, -U), MIME headers (-m): nothing
	 * to choose here.
	 */
	case 'm':
	case 'n':
	case 'N':
	case 'o':
	case 'p':
	case 'u':
	case 'U':
		return true;
	default:
		return false;
	}
}

/* called_as - argv[0] without its path */
static const char *called_as(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int newaliases_main(int argc, char **argv)
{
	const char *dash_c = NULL;
	int opt, verbose = 0;

	while ((opt = getopt(argc, argv, "c:C:o:v")) > 0) {
		if (opt == '?') {
			return applet_usage("newaliases");
		}
		if (opt == 'c' || opt == 'C') {
			dash_c = optarg;
		}
		if (opt == 'v') {
			log_set_verbose(++verbose);
		}
		/* sendmail's one-letter options (-oA...) have no '=', and mean nothing here. */
		if (opt == 'o') {
			conf_override(optarg);
		}
	}
	load_config(dash_c);
	return newaliases_run();
}

int postmap_main(int argc, char **argv)
{
	const char *name = called_as(argv[0]), *dash_c = NULL;
	int opt, verbose = 0, rc = 0;

	log_open(name, LOG_TO_STDERR);
	if (strcmp(name, "newaliases") == 0) {
		return newaliases_main(argc, argv);
	}
	G.alias = strcmp(name, "postalias") == 0;
	while ((opt = getopt(argc, argv,
			G.alias ? "Nc:d:fijnoprsq:uvw" : "Nbc:d:fFhijmnopq:rsuUvw")) > 0) {
		if (opt == 'c') {
			dash_c = optarg;
		} else if (opt == 'v') {
			log_set_verbose(++verbose);
		} else if (!take_option(opt)) {
			return applet_usage(name);
		}
	}
	if (optind == argc) {
		return applet_usage(name);
	}
	if ((G.query != NULL) + (G.delete != NULL) + G.sequence + G.incremental > 1) {
		log_fatal("specify only one of -d, -i, -q, -s");
	}
	if ((G.header || G.body) && (G.query == NULL || strcmp(G.query, "-") != 0)) {
		log_fatal("-h and -b work with -q - only");
	}
	load_config(dash_c);
	if (G.query != NULL) {
		rc = run_query(argv + optind);
	} else if (G.delete != NULL) {
		rc = run_delete(argv + optind);
	} else if (G.sequence) {
		rc = run_sequence(argv + optind);
	} else {
		for (char **spec = argv + optind; *spec != NULL; spec++) {
			rc |= make_one(*spec);
		}
	}
	if (fflush(stdout) != 0) {
		log_fatal("write: %s", strerror(errno));
	}
	return rc;
}
