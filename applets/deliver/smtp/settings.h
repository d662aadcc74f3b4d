#ifndef APPLETS_SMTP_SETTINGS_H
#define APPLETS_SMTP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What smtp_xxx and lmtp_xxx have in common: each field is smtp_FIELD of main.cf in smtp and
 * lmtp_FIELD in lmtp; the four names that differ stand in settings.c. Times are seconds.
 */
struct smtp_settings {
	const char *address_preference, *bind_address, *bind_address6, *body_checks,
		*connection_cache_destinations, *discard_keyword_maps, *discard_keywords,
		*dns_support_level, *fallback_relay, *generic_maps, *header_checks, *helo_name,
		*host_lookup, *mime_header_checks, *nested_header_checks, *reply_filter,
		*sasl_mechanism_filter, *sasl_password_maps, *sasl_security_options,
		*sasl_tls_security_options, *sasl_tls_verified_security_options, *tcp_port;
	int64_t connect_timeout, connection_cache_time_limit, connection_reuse_count_limit,
		connection_reuse_time_limit, data_done_timeout, data_init_timeout,
		data_xfer_timeout, helo_timeout, line_length_limit, mail_timeout, mx_address_limit,
		mx_session_limit, quit_timeout, rcpt_timeout, rset_timeout, starttls_timeout,
		xforward_timeout;
	bool balance_inet_protocols, connection_cache_on_demand, defer_if_no_mx_address_found,
		randomize_addresses, sasl_auth_enable, sasl_auth_soft_bounce, send_xforward_command,
		sender_dependent_authentication, skip_5xx_greeting, skip_quit_response;
};

void smtp_settings_load(struct smtp_settings *s, bool lmtp);

#endif
