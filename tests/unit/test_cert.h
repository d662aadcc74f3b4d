#ifndef TESTS_UNIT_TEST_CERT_H
#define TESTS_UNIT_TEST_CERT_H

/* Self-signed, for tests alone: CN=test.example (P-256), until 2126. */
static const char ec_key[] = "-----BEGIN PRIVATE KEY-----\n"
			     "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkdjCIJhhL/w3nvcj\n"
			     "LrUeGuXKuFb5PhjYhAHIPvwliHGhRANCAAQLrwbv2TKR3h2Tj9ZsBiftssQhE+Qv\n"
			     "c++DVI2Vzgv4AS5HN79yT5fThf45evD6zBPLGM9KhVaslgtb+Fw9AB4S\n"
			     "-----END PRIVATE KEY-----\n";
static const char ec_cert[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIBnjCCAUSgAwIBAgIUI5Y/r8muzl8M9kGie8ovVZ3B5SUwCgYIKoZIzj0EAwIw\n"
			      "FzEVMBMGA1UEAwwMdGVzdC5leGFtcGxlMCAXDTI2MTEyMjE0MzQxNloYDzIxMjYx\n"
			      "MDI5MTQzNDE2WjAXMRUwEwYDVQQDDAx0ZXN0LmV4YW1wbGUwWTATBgcqhkjOPQIB\n"
			      "BggqhkjOPQMBBwNCAAQLrwbv2TKR3h2Tj9ZsBiftssQhE+Qvc++DVI2Vzgv4AS5H\n"
			      "N79yT5fThf45evD6zBPLGM9KhVaslgtb+Fw9AB4So2wwajAdBgNVHQ4EFgQUa9iE\n"
			      "1fn6ZTrEQbWB9XsA+XeocaYwHwYDVR0jBBgwFoAUa9iE1fn6ZTrEQbWB9XsA+Xeo\n"
			      "caYwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggx0ZXN0LmV4YW1wbGUwCgYI\n"
			      "KoZIzj0EAwIDSAAwRQIhAL7ztCuz5W/1OYm3VfAdAzDKeiajOBxksHwhwP3mpYCC\n"
			      "AiBHUtCLQIwxk1ryk5El4ZgDtp1tZrYrg1Q53Tw0cQXuMg==\n"
			      "-----END CERTIFICATE-----\n";

#endif
