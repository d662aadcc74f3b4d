#ifndef APPLETS_READ_MAIL_COMMANDS_H
#define APPLETS_READ_MAIL_COMMANDS_H

struct mail_state;

/* What a command does; args: what stands behind its name, list: of a command that takes one. */
typedef void command_fn(struct mail_state *mail, const char *args, const unsigned *list);

command_fn command_type, command_Type, command_show, command_top, command_number, command_size;
command_fn command_next, command_previous, command_headers, command_scroll, command_from;
command_fn command_edit, command_visual;
command_fn command_delete, command_undelete, command_dp, command_unread, command_touch;
command_fn command_hold, command_mbox, command_flag, command_unflag, command_answered;

command_fn command_save, command_copy, command_Save, command_Copy, command_move, command_write;
command_fn command_file, command_folders, command_pipe, command_cd;

command_fn command_reply, command_Reply, command_replyall, command_mail, command_forward;
command_fn command_resend;

#endif
