/*
 * test_mailbox_follow - another program changes the files at random, and so do we
 *
 * A model knows which messages there are, with which flags. After each step the
 * folder is synced and must show exactly these, each under the UID it always had, with
 * UIDs ascending; a folder opened anew, and one whose index was read again by a second
 * store, must agree.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/mbox/mbox_format.h"
#include "store_util.h"
#include "unit.h"

enum { MESSAGES_MAX = 60, STEPS = 400 };

struct model_message {
	char text[400]; /* as clients see it, LF */
	unsigned flags;
	uint32_t uid;  /* 0: not seen yet */
	char file[80]; /* maildir: base name */
	bool cur;
	bool ours; /* mbox: our flags are not in the file so far, and win */
};

struct model {
	bool maildir;
	struct model_message m[MESSAGES_MAX];
	int count;
	unsigned next; /* number of the next message */
	uint64_t random;
	char what[200]; /* the step, for the report */
};

static unsigned draw(struct model *o, unsigned below)
{
	o->random = o->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(o->random >> 33) % below;
}

/* new_text - some with lines that are quoted, some with bookkeeping lines of their own, of few
 * lengths */
static void new_text(struct model *o, char *text, size_t size)
{
	static const char *const bodies[] = { "x", "From here\n>From there", "\n\n", "a\n\nFrom ",
		"" };
	static const char *const headers[] = { "", "Status: RO\n", "Content-Length: 3\n",
		"X-UID: 5\n" };
	unsigned kind = draw(o, 8);

	snprintf(text, size, "Message-ID: <%06u@x>\n%sSubject: s%06u\n\n%s\n", o->next,
		headers[kind < 4 ? kind : 0], o->next, bodies[draw(o, 5)]);
	o->next++;
}

/* ---- What the other program writes ---- */

static int put(void *arg, const char *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

/* mbox_message - with Status lines as mailx and c-client write them */
static void mbox_message(struct buf *out, const struct model_message *m)
{
	static const struct {
		unsigned flag;
		char letter;
	} x[] = { { MAIL_ANSWERED, 'A' }, { MAIL_FLAGGED, 'F' }, { MAIL_DRAFT, 'T' },
		{ MAIL_DELETED, 'D' } };
	struct buf meta = BUF_INIT;
	struct mbox_writer w;

	if (m->flags != 0) {
		buf_addf(&meta, "Status: %sO\nX-Status: ", m->flags & MAIL_SEEN ? "R" : "");
		for (size_t i = 0; i < ARRAY_LEN(x); i++) {
			if (m->flags & x[i].flag) {
				buf_addc(&meta, x[i].letter);
			}
		}
		buf_addc(&meta, '\n');
	}
	buf_adds(out, "From a@b.example Tue Aug  9 14:21:58 2011\n");
	mbox_writer_init(&w, buf_str(&meta), put, out);
	mbox_writer_add(&w, m->text, strlen(m->text));
	mbox_writer_end(&w);
	buf_free(&meta);
}

/* mbox_write - the whole file anew, in place or by rename */
static void mbox_write(struct model *o, bool rename_it)
{
	struct buf b = BUF_INIT;
	char temp[4096];

	for (int i = 0; i < o->count; i++) {
		mbox_message(&b, &o->m[i]);
	}
	store_write(rename_it ? "inbox.tmp" : "inbox", buf_str(&b), b.len);
	if (rename_it) {
		snprintf(temp, sizeof(temp), "%s", store_path("inbox.tmp"));
		REQUIRE(rename(temp, store_path("inbox")) == 0);
	}
	buf_free(&b);
}

static void maildir_file(const struct model_message *m, char *out, size_t size)
{
	snprintf(out, size, "Maildir/%s/%s%s%s%s%s%s%s", m->cur ? "cur" : "new", m->file,
		m->cur ? ":2," : "", m->flags & MAIL_DRAFT ? "D" : "",
		m->flags & MAIL_FLAGGED ? "F" : "", m->flags & MAIL_ANSWERED ? "R" : "",
		m->flags & MAIL_SEEN ? "S" : "", m->flags & MAIL_DELETED ? "T" : "");
}

static void maildir_rename(struct model_message *m, unsigned flags)
{
	char from[400], to[400], path[4096];

	maildir_file(m, from, sizeof(from));
	m->flags = flags;
	m->cur = true;
	maildir_file(m, to, sizeof(to));
	snprintf(path, sizeof(path), "%s", store_path(from));
	REQUIRE(rename(path, store_path(to)) == 0);
}

/* ---- Steps of the other program ---- */

static struct model_message *add_message(struct model *o, int at)
{
	memmove(&o->m[at + 1], &o->m[at], (size_t)(o->count - at) * sizeof(o->m[0]));
	memset(&o->m[at], 0, sizeof(o->m[0]));
	new_text(o, o->m[at].text, sizeof(o->m[at].text));
	o->count++;
	return &o->m[at];
}

static void remove_message(struct model *o, int i)
{
	o->count--;
	memmove(&o->m[i], &o->m[i + 1], (size_t)(o->count - i) * sizeof(o->m[0]));
}

static void other_adds(struct model *o, unsigned n)
{
	struct buf b = BUF_INIT;
	char name[400];

	for (; n > 0 && o->count < MESSAGES_MAX; n--) {
		struct model_message *m = add_message(o, o->count);

		if (o->maildir) {
			snprintf(m->file, sizeof(m->file), "%u.%u.host", 1000 + o->next, o->next);
			maildir_file(m, name, sizeof(name));
			store_write(name, m->text, strlen(m->text));
		} else {
			mbox_message(&b, m);
		}
	}
	if (!o->maildir && draw(o, 3) > 0) {
		store_append("inbox", buf_str(&b));
	} else if (!o->maildir) {
		mbox_write(o, false);
	}
	buf_free(&b);
}

static void other_removes(struct model *o, unsigned n)
{
	char name[400];

	for (; n > 0 && o->count > 0; n--) {
		int i = (int)draw(o, (unsigned)o->count);

		if (o->maildir) {
			maildir_file(&o->m[i], name, sizeof(name));
			unlink(store_path(name));
		}
		remove_message(o, i);
	}
	if (!o->maildir) {
		mbox_write(o, draw(o, 2) == 0);
	}
}

static void other_flags(struct model *o, unsigned n)
{
	for (; n > 0 && o->count > 0; n--) {
		struct model_message *m = &o->m[draw(o, (unsigned)o->count)];
		unsigned flags = draw(o, 32);

		if (o->maildir) {
			maildir_rename(m, flags);
		} else if (!m->ours) {
			m->flags = flags;
		}
	}
	if (!o->maildir) {
		mbox_write(o, draw(o, 2) == 0);
	}
}

static void other_reorders(struct model *o)
{
	for (int i = o->count - 1; i > 0; i--) {
		int k = (int)draw(o, (unsigned)i + 1);
		struct model_message t = o->m[i];

		o->m[i] = o->m[k];
		o->m[k] = t;
	}
	if (!o->maildir) {
		mbox_write(o, draw(o, 2) == 0);
	}
}

/* ---- Steps of ours ---- */

static struct model_message *find_uid(struct model *o, uint32_t uid)
{
	for (int i = 0; i < o->count; i++) {
		if (o->m[i].uid == uid) {
			return &o->m[i];
		}
	}
	return NULL;
}

/* note_files - what our renames made of the names; maildir only */
static void note_files(struct model *o)
{
	static const char *const dirs[] = { "Maildir/new", "Maildir/cur" };

	for (int d = 0; d < 2; d++) {
		DIR *dir = opendir(store_path(dirs[d]));
		struct dirent *e;

		while (dir != NULL && (e = readdir(dir)) != NULL) {
			char name[400], *text;
			size_t len;

			if (e->d_name[0] == '.') {
				continue;
			}
			snprintf(name, sizeof(name), "%s/%s", dirs[d], e->d_name);
			text = store_read(name, &len);
			for (int i = 0; text != NULL && i < o->count; i++) {
				if (strcmp(o->m[i].text, text) == 0) {
					snprintf(o->m[i].file, sizeof(o->m[i].file), "%.*s",
						(int)strcspn(e->d_name, ":"), e->d_name);
					o->m[i].cur = d == 1;
				}
			}
			mem_free(text);
		}
		if (dir != NULL) {
			closedir(dir);
		}
	}
}

static void we_flag(struct model *o, struct mailbox_view *v)
{
	struct model_message *m;
	unsigned flags = draw(o, 32);
	uint32_t uid;

	if (mailbox_count(v) == 0) {
		return;
	}
	uid = mailbox_info(v, 1 + draw(o, mailbox_count(v)))->uid;
	m = find_uid(o, uid);
	REQUIRE(m != NULL);
	CHECK_INT(mailbox_store(v, &uid, 1, FLAGS_SET, flags, 0, UINT64_MAX, NULL, NULL), 0);
	m->flags = flags;
	m->ours = !o->maildir;
}

/* we_close - and open again: flags reach the file */
static void we_close(struct model *o, struct mailstore *ms, struct mailbox_view **v)
{
	mailbox_close(*v);
	*v = mailbox_open(ms, "INBOX", false);
	REQUIRE(*v != NULL);
	for (int i = 0; i < o->count; i++) {
		o->m[i].ours = false;
	}
}

static void we_expunge(struct model *o, struct mailbox_view *v)
{
	uint32_t uids[3];
	size_t n = 0;

	for (uint32_t seq = 1; seq <= mailbox_count(v) && n < 3; seq++) {
		if (draw(o, 4) == 0) {
			uids[n++] = mailbox_info(v, seq)->uid;
		}
	}
	if (n == 0) {
		return;
	}
	CHECK_INT(mailbox_expunge(v, uids, n, true), 0);
	for (size_t i = 0; i < n; i++) {
		struct model_message *m = find_uid(o, uids[i]);

		REQUIRE(m != NULL);
		remove_message(o, (int)(m - o->m));
	}
}

static void we_append(struct model *o, struct mailstore *ms)
{
	struct model_message *m;

	if (o->count == MESSAGES_MAX) {
		return;
	}
	m = add_message(o, o->count);
	m->flags = draw(o, 4);
	m->uid = store_put(ms, "INBOX", m->text, m->flags);
	CHECK(m->uid != 0);
}

/* ---- Comparing ---- */

static struct model_message *find_text(struct model *o, const char *text)
{
	for (int i = 0; text != NULL && i < o->count; i++) {
		if (strcmp(o->m[i].text, text) == 0) {
			return &o->m[i];
		}
	}
	return NULL;
}

/* compare - does the view show the model? flags: these too */
static void compare(struct model *o, struct mailbox_view *v, const char *which, bool flags)
{
	uint32_t last = 0;

	snprintf(o->what + strcspn(o->what, "/"), 40, "/%s", which);
	CHECK_ROW(o->what);
	CHECK_INT(mailbox_count(v), o->count);
	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		const struct mail_info info = *mailbox_info(v, seq);
		char *text = store_text(v, seq, NULL);
		struct model_message *m = find_text(o, text);

		CHECK(info.uid > last);
		last = info.uid;
		CHECK(m != NULL);
		if (m != NULL) {
			if (m->uid == 0) {
				m->uid = info.uid;
			}
			CHECK_INT(info.uid, m->uid);
			if (flags) {
				CHECK_INT(info.flags, m->flags);
			}
		}
		mem_free(text);
	}
}

/* step - something happens; true: another program may have changed flags behind our back */
static bool step(struct model *o, struct mailstore *ms, struct mailbox_view **v)
{
	unsigned what = draw(o, 11), n = 1 + draw(o, 3);

	snprintf(o->what, sizeof(o->what), "step %u of %u messages ", what, (unsigned)o->count);
	switch (what) {
	case 0:
	case 1:
		other_adds(o, n);
		break;
	case 2:
		other_removes(o, n);
		break;
	case 3:
		other_flags(o, n);
		break;
	case 4:
		other_reorders(o);
		break;
	case 5:
		other_removes(o, n);
		other_adds(o, n);
		return true;
	case 6:
		other_flags(o, n);
		other_adds(o, n);
		return true;
	case 7:
		we_flag(o, *v);
		break;
	case 8:
		we_expunge(o, *v);
		break;
	case 9:
		we_append(o, ms);
		break;
	case 10:
		we_close(o, ms, v);
		break;
	}
	return false;
}

static void follow(bool maildir, uint64_t seed)
{
	struct model *o = mem_alloc(sizeof(*o));
	struct mailstore *ms = store_open(maildir ? "maildir" : "mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false), *fresh;
	uint32_t validity;

	REQUIRE(v != NULL);
	validity = mailbox_uid_validity(v);
	o->maildir = maildir;
	o->random = seed;
	if (maildir) {
		mkdir(store_path("Maildir/new"), 0700);
		mkdir(store_path("Maildir/cur"), 0700);
		mkdir(store_path("Maildir/tmp"), 0700);
	}
	for (int i = 0; i < STEPS; i++) {
		bool behind = step(o, ms, &v);

		CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
		compare(o, v, "sync", !behind);
		/* Opening looks at everything. */
		fresh = mailbox_open(ms, "INBOX", false);
		REQUIRE(fresh != NULL);
		compare(o, fresh, "open", true);
		mailbox_close(fresh);
		CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
		if (maildir) {
			note_files(o);
		}
		if (draw(o, 2) == 0) {
			we_close(o, ms, &v);
		}
		CHECK_INT(mailbox_uid_validity(v), validity);
	}
	mailbox_close(v);
	mailstore_close(ms);
	mem_free(o);
}

TEST(mailbox_follow, mbox)
{
	follow(false, 1);
}

TEST(mailbox_follow, mbox_again)
{
	follow(false, 77);
}

TEST(mailbox_follow, maildir)
{
	follow(true, 1);
}
