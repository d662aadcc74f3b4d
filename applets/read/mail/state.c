/*
 * state - the end of a session
 */
#include "applets/read/mail/state.h"

#include "base/mem.h"
#include "mime/charset.h"

/* state_free - what belongs to nobody else */
void state_free(struct mail_state *mail)
{
	hash_free(&mail->vars, mem_free);
	hash_free(&mail->aliases, mem_free);
	hash_free(&mail->ignored, NULL);
	hash_free(&mail->retained, NULL);
	mime_encoder_close(mail->terminal);
	mem_free(mail->terminal_set);
	mem_free(mail->folder_path);
	mem_free(mail->previous_path);
	mem_free(mail->user);
	mem_free(mail->home);
}
