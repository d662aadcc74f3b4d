/*
 * settings - one set of parameters for smtp and lmtp
 */
#include "applets/deliver/smtp/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "conf/params.h"

/* Offsets: pointers would have to be relocated, in each process of every daemon. */
struct row {
	uint16_t at, size, smtp, lmtp;
};

#define OFFSET(field) ((uint16_t)((const char *)&(field) - (const char *)&param))
#define ROW(field, smtp, lmtp)                                                                  \
	{                                                                                       \
		offsetof(struct smtp_settings, field), sizeof(smtp), OFFSET(smtp), OFFSET(lmtp) \
	}

static const struct row rows[] = {
	ROW(address_preference, param.smtp_address_preference, param.lmtp_address_preference),
	ROW(balance_inet_protocols, param.smtp_balance_inet_protocols,
		param.lmtp_balance_inet_protocols),
	ROW(bind_address, param.smtp_bind_address, param.lmtp_bind_address),
	ROW(bind_address6, param.smtp_bind_address6, param.lmtp_bind_address6),
	ROW(body_checks, param.smtp_body_checks, param.lmtp_body_checks),
	ROW(connect_timeout, param.smtp_connect_timeout, param.lmtp_connect_timeout),
	ROW(connection_cache_destinations, param.smtp_connection_cache_destinations,
		param.lmtp_connection_cache_destinations),
	ROW(connection_cache_on_demand, param.smtp_connection_cache_on_demand,
		param.lmtp_connection_cache_on_demand),
	ROW(connection_cache_time_limit, param.smtp_connection_cache_time_limit,
		param.lmtp_connection_cache_time_limit),
	ROW(connection_reuse_count_limit, param.smtp_connection_reuse_count_limit,
		param.lmtp_connection_reuse_count_limit),
	ROW(connection_reuse_time_limit, param.smtp_connection_reuse_time_limit,
		param.lmtp_connection_reuse_time_limit),
	ROW(data_done_timeout, param.smtp_data_done_timeout, param.lmtp_data_done_timeout),
	ROW(data_init_timeout, param.smtp_data_init_timeout, param.lmtp_data_init_timeout),
	ROW(data_xfer_timeout, param.smtp_data_xfer_timeout, param.lmtp_data_xfer_timeout),
	ROW(defer_if_no_mx_address_found, param.smtp_defer_if_no_mx_address_found,
		param.lmtp_defer_if_no_mx_address_found),
	ROW(discard_keyword_maps, param.smtp_discard_ehlo_keyword_address_maps,
		param.lmtp_discard_lhlo_keyword_address_maps),
	ROW(discard_keywords, param.smtp_discard_ehlo_keywords, param.lmtp_discard_lhlo_keywords),
	ROW(dns_support_level, param.smtp_dns_support_level, param.lmtp_dns_support_level),
	ROW(fallback_relay, param.smtp_fallback_relay, param.lmtp_fallback_relay),
	ROW(generic_maps, param.smtp_generic_maps, param.lmtp_generic_maps),
	ROW(header_checks, param.smtp_header_checks, param.lmtp_header_checks),
	ROW(helo_name, param.smtp_helo_name, param.lmtp_lhlo_name),
	ROW(helo_timeout, param.smtp_helo_timeout, param.lmtp_lhlo_timeout),
	ROW(host_lookup, param.smtp_host_lookup, param.lmtp_host_lookup),
	ROW(line_length_limit, param.smtp_line_length_limit, param.lmtp_line_length_limit),
	ROW(mail_timeout, param.smtp_mail_timeout, param.lmtp_mail_timeout),
	ROW(mime_header_checks, param.smtp_mime_header_checks, param.lmtp_mime_header_checks),
	ROW(mx_address_limit, param.smtp_mx_address_limit, param.lmtp_mx_address_limit),
	ROW(mx_session_limit, param.smtp_mx_session_limit, param.lmtp_mx_session_limit),
	ROW(nested_header_checks, param.smtp_nested_header_checks, param.lmtp_nested_header_checks),
	ROW(quit_timeout, param.smtp_quit_timeout, param.lmtp_quit_timeout),
	ROW(randomize_addresses, param.smtp_randomize_addresses, param.lmtp_randomize_addresses),
	ROW(rcpt_timeout, param.smtp_rcpt_timeout, param.lmtp_rcpt_timeout),
	ROW(reply_filter, param.smtp_reply_filter, param.lmtp_reply_filter),
	ROW(rset_timeout, param.smtp_rset_timeout, param.lmtp_rset_timeout),
	ROW(sasl_auth_enable, param.smtp_sasl_auth_enable, param.lmtp_sasl_auth_enable),
	ROW(sasl_auth_soft_bounce, param.smtp_sasl_auth_soft_bounce,
		param.lmtp_sasl_auth_soft_bounce),
	ROW(sasl_mechanism_filter, param.smtp_sasl_mechanism_filter,
		param.lmtp_sasl_mechanism_filter),
	ROW(sasl_password_maps, param.smtp_sasl_password_maps, param.lmtp_sasl_password_maps),
	ROW(sasl_security_options, param.smtp_sasl_security_options,
		param.lmtp_sasl_security_options),
	ROW(sasl_tls_security_options, param.smtp_sasl_tls_security_options,
		param.lmtp_sasl_tls_security_options),
	ROW(sasl_tls_verified_security_options, param.smtp_sasl_tls_verified_security_options,
		param.lmtp_sasl_tls_verified_security_options),
	ROW(send_xforward_command, param.smtp_send_xforward_command,
		param.lmtp_send_xforward_command),
	ROW(sender_dependent_authentication, param.smtp_sender_dependent_authentication,
		param.lmtp_sender_dependent_authentication),
	ROW(skip_5xx_greeting, param.smtp_skip_5xx_greeting, param.lmtp_skip_5xx_greeting),
	ROW(skip_quit_response, param.smtp_skip_quit_response, param.lmtp_skip_quit_response),
	ROW(starttls_timeout, param.smtp_starttls_timeout, param.lmtp_starttls_timeout),
	ROW(tcp_port, param.smtp_tcp_port, param.lmtp_tcp_port),
	ROW(xforward_timeout, param.smtp_xforward_timeout, param.lmtp_xforward_timeout),
};

void smtp_settings_load(struct smtp_settings *s, bool lmtp)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memcpy((char *)s + rows[i].at,
			(const char *)&param + (lmtp ? rows[i].lmtp : rows[i].smtp), rows[i].size);
	}
}
