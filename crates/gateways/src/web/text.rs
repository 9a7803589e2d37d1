//! Every word that a page or its script shows, in one place, for later translation.
//!
//! Scripts get the same texts as a module (`text.js`). `{name}` marks what is filled in.

use serde::Serialize;

macro_rules! texts {
    ($($name:ident: $text:literal,)*) => {
        /// The words of one language.
        #[derive(Debug, Serialize)]
        #[allow(missing_docs)]
        pub struct Text {
            $(pub $name: &'static str,)*
        }

        /// English.
        pub static ENGLISH: Text = Text { $($name: $text,)* };
    };
}

texts! {
    // Everywhere
    product: "Atoll",
    language: "en",
    skip_to_content: "Skip to content",
    name: "Name",
    password: "Password",
    code: "Code of your authenticator program, or a recovery code",
    cancel: "Cancel",
    close: "Close",
    try_again: "Try again",
    reconnecting: "Reconnecting… your work is kept",
    something_failed: "Something went wrong",
    unreachable: "Atoll does not answer. What was saved is safe.",

    // Signing in
    sign_in: "Sign in",
    sign_in_lead: "Your files, on your own machines.",
    sign_out: "Sign out",
    signed_in_as: "Signed in as {name}",
    setup_hint: "Nobody has been set up here yet. Open the set-up link that `atoll up` printed when it started.",

    // First administrator
    setup_title: "Welcome to Atoll",
    setup_lead: "Make the first administrator. This link works once.",
    setup_name_hint: "Lower-case letters, digits, dot, dash and underscore",
    setup_password_hint: "At least eight characters",
    setup_password_again: "Password again",
    setup_submit: "Create administrator",
    setup_mismatch: "The two passwords are not the same. Nothing was made; type them again.",
    setup_over_title: "Set-up is done",
    setup_wrong_title: "This link does not work",
    setup_wrong_lead: "It is not complete, has run out, or was never one. `atoll up` prints a new one each time it starts.",

    // Drive
    drive: "Drive",
    drive_root: "My Drive",
    folder_path: "Folder path",
    files_here: "Files and folders",
    new_folder: "New folder",
    folder_name: "Name of the folder",
    create: "Create",
    upload: "Upload",
    upload_here: "Upload to this folder",
    upload_folder: "Upload a folder",
    choose_files: "Choose files",
    filter: "Filter",
    filter_placeholder: "Filter this folder",
    filter_none: "Nothing here matches “{filter}”.",
    column_name: "Name",
    column_size: "Size",
    column_modified: "Modified",
    column_actions: "Actions",
    folder: "Folder",
    file: "File",
    up: "Up to {name}",
    open: "Open",
    download: "Download",
    rename: "Rename",
    rename_title: "Rename",
    rename_label: "New name",
    delete: "Delete",
    delete_title_one: "Delete “{name}”?",
    delete_title_many: "Delete {count} items?",
    delete_file_body: "It goes to the trash, and stays there for 30 days.",
    delete_folder_body: "The folder and everything in it go to the trash, and stay there for 30 days.",
    deleted_one: "Deleted “{name}”",
    deleted_many: "Deleted {count} items",
    renamed: "Renamed to “{name}”",
    renamed_undo: "Name changed back",
    undo: "Undo",
    folder_created: "Folder “{name}” made",
    actions_for: "Actions for {name}",
    more: "Show more",
    loading: "Loading…",
    empty_root: "Nothing here yet. Drop files anywhere on this page, or choose some.",
    empty_folder: "This folder is empty. Drop files anywhere on this page, or choose some.",
    items_one: "1 item",
    items_many: "{count} items",
    items_more: "more than {count} items",
    selected: "{count} selected",
    clear_selection: "Clear selection",
    drop_title: "Drop to upload",
    drop_target: "into “{name}”",
    not_found_title: "There is nothing here",
    not_found_lead: "It may have been moved, renamed or deleted.",
    back_to_drive: "Back to My Drive",
    metrics_closed: "The metrics are for this machine, for administrators, and for addresses named with `atoll up --metrics-from`",
    unavailable_title: "Reconnecting…",
    unavailable_lead: "This part of the cluster cannot answer at this moment. What was saved is safe; this page tries again by itself.",

    // Uploads
    uploads: "Uploads",
    uploads_active_one: "Uploading 1 file",
    uploads_active_many: "Uploading {count} files",
    uploads_done_one: "1 file saved",
    uploads_done_many: "{count} files saved",
    uploads_failed: "{count} failed",
    uploads_attention: "{count} waiting for you",
    uploads_total: "{done} of {total}",
    uploads_total_speed: "{done} of {total} · {speed}",
    uploads_left: "{time} left",
    uploads_collapse: "Collapse the list of uploads",
    uploads_expand: "Expand the list of uploads",
    uploads_clear: "Clear the list of uploads",
    upload_waiting: "Waiting",
    upload_sending: "{percent} · {speed}",
    upload_sending_first: "Sending",
    upload_saving: "Saving…",
    upload_saved: "Saved",
    upload_saved_on: "Saved on {count} machines",
    upload_failed: "Failed – {why}",
    upload_exists: "A file with this name is there already",
    upload_cancelled: "Cancelled",
    upload_skipped: "Skipped",
    upload_unreadable: "this computer could not read it",
    retry: "Retry",
    replace: "Replace",
    keep_both: "Keep both",
    skip: "Skip",
    apply_to_all: "Do the same for all",

    // Shortcuts
    shortcuts: "Keyboard shortcuts",
    shortcut_move: "Move",
    shortcut_open: "Open or download",
    shortcut_up: "Go up one folder",
    shortcut_filter: "Filter this folder",
    shortcut_rename: "Rename",
    shortcut_delete: "Delete",
    shortcut_select: "Select",
    shortcut_range: "Select a range",
    shortcut_all: "Select all",
    shortcut_new_folder: "New folder",
    shortcut_upload: "Upload",
    shortcut_help: "Show this",
    shortcut_escape: "Close, or clear the selection",

    // Errors: what happened · what is safe · what to do
    error_reference: "Reference",
    do_retry: "Nothing was changed. Try again in a moment.",
    do_rejected: "Nothing was changed.",
    do_unknown: "It may or may not have been done. Look at the folder; doing the same again is harmless.",
    do_sign_in: "Sign in and try again.",
    do_free_space: "Nothing was changed. Delete something, or ask an administrator for room.",
    do_choose_name: "Nothing was changed. Choose another name.",
    do_look_again: "Nothing was changed. Refresh the folder and look again.",
    do_ask_administrator: "Tell an administrator; `atoll doctor` tells more.",
    do_reload: "Nothing was changed. Reload the page and try again.",
    wrong_origin: "This request did not come from this site, so it was refused",
    not_signed_in: "You are not signed in",
    too_long: "This address is too long",
    too_large: "This request is larger than it may be",
    no_such_page: "There is no such page",
    bad_method: "This cannot be done here",
    bad_request: "This request is not understood",
    too_short: "The upload ended before it was complete; nothing was stored",
    busy: "This server has too much to do",
    range_unsatisfiable: "The file does not have these bytes",
}

/// `text` with each `{key}` filled in.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_string(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
}
