/*
 * fuzz_tls - files of certificates and keys: loaded, or a reason that names the file
 *
 * The input: a byte that says which, certificates, "%%", the key.
 */
#include <string.h>

#include "base/mem.h"
#include "net/tls_pem.h"
#include "fuzz.h"

void fuzz(const char *data, size_t len)
{
	struct slice rest = { data + 1, len - 1 }, chain;
	struct tls_server_config files = { 0 };
	struct tls_anchors anchors;
	struct tls_keys *keys;
	char *error = NULL;

	if (len == 0) {
		return;
	}
	if ((unsigned char)data[0] % 2 == 0) {
		if (tls_anchors_load(fuzz_file(rest.ptr, rest.len), &anchors, &error) == 0) {
			tls_anchors_free(&anchors);
		} else {
			REQUIRE(error != NULL && strstr(error, fuzz_path("file")) != NULL);
		}
		mem_free(error);
		return;
	}
	chain = fuzz_part(&rest);
	files.cert_file = fuzz_put("chain", chain.ptr, chain.len);
	files.key_file = rest.len > 0 ? fuzz_file(rest.ptr, rest.len) : "";
	keys = tls_keys_load(&files, &error);
	if (keys != NULL) {
		REQUIRE(keys->count > 0 && keys->chain != NULL);
		tls_keys_unref(keys);
	} else {
		REQUIRE(error != NULL && strstr(error, fuzz_dir()) != NULL);
	}
	mem_free(error);
}
