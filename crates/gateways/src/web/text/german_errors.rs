//! What went wrong, in German. What programs alone can do wrong stays in English.

use crate::web::format;
use apps::{AccountError, DriveError, DriveRole};
use client::ClientError;

pub fn drive(error: &DriveError) -> String {
    match error {
        DriveError::NotFound { path } => format!("unter {path} ist nichts"),
        DriveError::Exists { path } => format!("unter {path} ist schon etwas"),
        DriveError::NotAFolder { path } => format!("{path} ist eine Datei, kein Ordner"),
        DriveError::IsAFolder { path } => format!("{path} ist ein Ordner, keine Datei"),
        DriveError::NotEmpty { path } => format!("der Ordner {path} ist nicht leer"),
        DriveError::BadName { name, why } => format!("{name:?} kann kein Name sein: {}", reason(why)),
        DriveError::BadPath { why } => format!("dieser Pfad ist nicht erlaubt: {}", reason(why)),
        DriveError::Cycle { from, to } => {
            format!("{from} kann nicht nach {to}: ein Ordner kann nicht in sich selbst liegen")
        }
        DriveError::Changed { path } => format!(
            "{path} wurde von jemand anderem geändert, seit Sie es gelesen haben; sehen Sie es noch einmal an, bevor Sie es ersetzen"
        ),
        DriveError::Conflict { path } => {
            format!("andere ändern {path} gerade; nichts wurde geändert, versuchen Sie es noch einmal")
        }
        DriveError::NotInTrash => {
            "das ist nicht im Papierkorb: es wurde wiederhergestellt oder endgültig entfernt".into()
        }
        DriveError::NoSuchVersion { path } => {
            format!("{path} hat diese Version nicht: vielleicht wurde sie ausgedünnt")
        }
        DriveError::NoSuchUpload { id } => {
            format!(
                "für diesen Schlüssel läuft kein Hochladen {id}: Es wurde abgeschlossen, abgebrochen oder aufgegeben"
            )
        }
        DriveError::NoSuchJob => "diesen Auftrag gibt es nicht; abgeschlossene werden einen Tag lang aufbewahrt".into(),
        DriveError::Quota { needed, room } => {
            let lacking = format::size(needed.saturating_sub(*room));
            format!("das Laufwerk ist voll: {lacking} mehr müssten frei sein")
        }
        DriveError::FolderFull { path } => format!("der Ordner {path} enthält so viele Einträge, wie ein Ordner darf"),
        DriveError::Held { program } => format!(
            "„{program}“ hat innerhalb einer Stunde mehr entfernt, als ein Programm ungefragt darf; mehr wird nicht entfernt, \
             bis es auf der Seite Papierkorb zurückgeholt oder weiter erlaubt wird"
        ),
        DriveError::Locked { path } => {
            format!("{path} ist gesperrt: eine Aufbewahrungsfrist oder eine rechtliche Sperre verbietet das")
        }
        DriveError::LockedDrive => {
            "was in diesem Laufwerk ist, hält eine Objektsperre fest: hier wird nichts verschoben, \
             umbenannt oder entfernt; über S3 setzt ein Löschen eine Markierung davor"
                .into()
        }
        DriveError::NotHeld => "dieses Programm ist nicht (mehr) angehalten".into(),
        DriveError::NoSuchLink => "diesen Link gibt es nicht".into(),
        DriveError::LinkOver => "dieser Link funktioniert nicht mehr".into(),
        DriveError::LinkFull => "das ist mehr, als der Link annimmt".into(),
        DriveError::LinkBusy { max } => {
            format!("{max} Dateien sind über diesen Link unterwegs: Er nimmt die nächste, wenn eine davon da ist")
        }
        DriveError::TooManyLinks { max } => {
            format!("ein Laufwerk hat höchstens {max} Links; nehmen Sie erst welche zurück")
        }
        DriveError::TooManyStars { max } => {
            format!("eine Person hat höchstens {max} Sterne; nehmen Sie erst welche weg")
        }
        DriveError::BadCursor => "das ist keine Stelle in dieser Liste; beginnen Sie von vorn".into(),
        DriveError::Invalid(why) => reason(why),
        DriveError::Damaged(_) => error.to_string(),
        DriveError::Client(error) => client(error),
    }
}

pub fn account(error: &AccountError) -> String {
    match error {
        AccountError::WrongCredentials => "der Name oder das Passwort ist falsch".into(),
        AccountError::TooManyTries { wait } => match wait.as_secs().div_ceil(60) {
            0 | 1 => "zu viele Versuche von hier; warten Sie eine Minute und versuchen Sie es noch einmal".into(),
            n => format!("zu viele Versuche von hier; warten Sie {n} Minuten und versuchen Sie es noch einmal"),
        },
        AccountError::Busy => "zu viele Personen melden sich gerade an; versuchen Sie es gleich noch einmal".into(),
        AccountError::NotSignedIn => "Sie sind nicht angemeldet oder wurden abgemeldet; melden Sie sich an".into(),
        AccountError::Forbidden { what } => format!("das darf nur die Verwaltung: {}", reason(what)),
        AccountError::OwnAccount { .. } => {
            "nicht für Ihr eigenes Konto; das geht in Ihren Einstellungen, mit Ihrem Passwort".into()
        }
        AccountError::NameTaken { name } => format!("der Name {name} ist vergeben"),
        AccountError::BadName { why } => format!("dieser Name ist nicht möglich: {}", reason(why)),
        AccountError::BadPassword { why } => format!("dieses Passwort ist nicht möglich: {}", reason(why)),
        AccountError::NoSuchUser { name } => format!("niemand hier heißt {name}"),
        AccountError::SetupDone => "hier gibt es schon ein Verwaltungskonto; melden Sie sich an".into(),
        AccountError::CodeNeeded { .. } => "ein Code Ihres zweiten Faktors wird gebraucht".into(),
        AccountError::WrongCode => {
            "dieser Code ist falsch oder wurde schon benutzt; warten Sie auf den nächsten".into()
        }
        AccountError::ChallengeOver => "das hat zu lange gedauert; melden Sie sich noch einmal an".into(),
        AccountError::CodeUsed => {
            "Ihr Code ist verbraucht, aber die Anmeldung gelang nicht; warten Sie auf den nächsten Code".into()
        }
        AccountError::DoneSignIn => "das ist erledigt, nur die Anmeldung gelang nicht; melden Sie sich jetzt an".into(),
        AccountError::FactorOn => "der zweite Faktor ist schon an; schalten Sie ihn erst aus".into(),
        AccountError::FactorOff => "der zweite Faktor ist nicht an".into(),
        AccountError::NothingToConfirm => {
            "nichts wartet auf Bestätigung, oder es wartete zu lange; beginnen Sie von vorn".into()
        }
        AccountError::SignUpOff => {
            "hier kann sich niemand registrieren; die Verwaltung kann Ihnen ein Konto anlegen".into()
        }
        AccountError::InvitationNeeded => {
            "zum Registrieren wird hier eine Einladung gebraucht; bitten Sie die Verwaltung darum".into()
        }
        AccountError::AccountsFull => "es gibt so viele Konten, wie es geben darf; fragen Sie die Verwaltung".into(),
        AccountError::WrongLink => "dieser Link ist falsch, benutzt oder zu alt; bitten Sie um einen neuen".into(),
        AccountError::NotFound { .. } => "das gibt es nicht (mehr); sehen Sie noch einmal in der Liste nach".into(),
        AccountError::TooMany { max, .. } => {
            format!("davon gibt es schon {max}, mehr dürfen es nicht sein; entfernen Sie erst etwas")
        }
        AccountError::Invalid(why) => reason(why),
        AccountError::WrongAppPassword => {
            "der Name oder das Gerätepasswort ist falsch, oder es ist nicht hierfür".into()
        }
        AccountError::NoRelay => {
            "dieser Cluster verschickt keine Mail; die Verwaltung kann ein Relay dafür einrichten".into()
        }
        AccountError::MailFull => {
            "zu viele Mails warten darauf, verschickt zu werden; versuchen Sie es in einigen Minuten wieder".into()
        }
        AccountError::MailNotSent { why } => format!("die Mail wurde nicht verschickt: {why}"),
        AccountError::WrongSetupSecret => {
            "dieser Einrichtungslink ist falsch, benutzt oder zu alt; `atoll up` gibt beim Start einen neuen aus".into()
        }
        AccountError::LastAdministrator => "das ist das letzte Verwaltungskonto; bestimmen Sie erst ein anderes".into(),
        AccountError::DriveRole { needs } => {
            let needs = match needs {
                DriveRole::View => "seinen Inhalt anzusehen",
                DriveRole::Edit => "seinen Inhalt zu ändern",
                DriveRole::Manage => "es zu verwalten",
            };
            format!("Ihre Rolle in diesem Laufwerk erlaubt Ihnen nicht, {needs}; fragen Sie, wer es verwaltet")
        }
        AccountError::LastManager { drive } => format!(
            "niemand sonst verwaltet das Laufwerk {drive}; bestimmen Sie erst jemand anderen dafür, oder löschen Sie es"
        ),
        AccountError::MemberAlready { name } => format!("{name} ist schon in diesem Laufwerk"),
        AccountError::NoMember { name } => format!("{name} ist nicht in diesem Laufwerk"),
        AccountError::Conflict => {
            "jemand anderes hat das im selben Augenblick geändert; nichts wurde geändert, versuchen Sie es noch einmal"
                .into()
        }
        AccountError::BadCursor => "das ist keine Stelle in dieser Liste; beginnen Sie von vorn".into(),
        AccountError::Damaged(_) => error.to_string(),
        AccountError::Client(error) => client(error),
    }
}

/// What people meet of the store's errors; the others are about tables and keys, and for programs.
pub fn client(error: &ClientError) -> String {
    match error {
        ClientError::TooFewReplicas { have, need } => format!(
            "nur {have} der {need} Kopien, die ein Schreibvorgang braucht, sind in Betrieb; nichts wurde geschrieben, Lesen geht weiter"
        ),
        ClientError::NoSpace { node } => {
            format!("auf Knoten {node} ist kein Platz mehr; nichts wurde geschrieben, Löschen geht noch")
        }
        ClientError::Busy => {
            "der Cluster ist ausgelastet; nichts wurde geschrieben, versuchen Sie es gleich wieder".into()
        }
        _ => error.to_string(),
    }
}

/// Reasons that people meet; those that only programs do are left as they are.
fn reason(why: &str) -> String {
    match why {
        "what is in this drive may be locked (object lock): empty it by S3, and delete the bucket there" => {
            "was in diesem Laufwerk ist, kann gesperrt sein (Objektsperre): leeren Sie es über S3 und löschen Sie dort den Bucket"
        }
        "it is empty" => "er ist leer",
        "it means a place relative to another" => "er bezeichnet einen Ort im Verhältnis zu einem anderen",
        "it is longer than 255 bytes" => "er ist länger als 255 Bytes",
        "it is longer than 32 KiB" => "er ist länger als 32 KiB",
        "it has a slash in it" => "er enthält einen Schrägstrich",
        "it has a NUL character in it" => "er enthält ein NUL-Zeichen",
        "it is more than 100 folders deep" => "er ist mehr als 100 Ordner tief",
        "what is in the folder would be more than 100 folders deep" => {
            "was in dem Ordner ist, läge mehr als 100 Ordner tief"
        }
        "the drive itself cannot be moved or replaced" => {
            "das Laufwerk selbst kann nicht verschoben oder ersetzt werden"
        }
        "a whole drive has no star" => "ein ganzes Laufwerk hat keinen Stern",
        "the drive itself cannot be removed" => "das Laufwerk selbst kann nicht entfernt werden",
        "a link is to a file or folder, not to a whole drive" => {
            "ein Link führt zu einer Datei oder einem Ordner, nicht zu einem ganzen Laufwerk"
        }
        "a file cannot be replaced by itself" => "eine Datei kann nicht durch sich selbst ersetzt werden",
        "a link ends in the future" => "ein Link endet in der Zukunft",
        "a link ends in the future; to end it now, take it back" => {
            "ein Link endet in der Zukunft; um ihn jetzt zu beenden, nehmen Sie ihn zurück"
        }
        "a link's password has at least six characters" => "das Passwort eines Links hat mindestens sechs Zeichen",
        "an app password is for at least one protocol" => "ein Gerätepasswort ist für mindestens ein Protokoll",
        "an app password needs a name, such as that of the device" => {
            "ein Gerätepasswort braucht einen Namen, etwa den des Geräts"
        }
        "an invitation lasts for up to 90 days" => "eine Einladung gilt bis zu 90 Tage",
        "the log is kept for 1 to 3650 days" => "das Protokoll wird 1 bis 3650 Tage aufbewahrt",
        "a drive's name has 1 to 100 characters" => "der Name eines Laufwerks hat 1 bis 100 Zeichen",
        "it has characters in it that are not seen" => "er enthält Zeichen, die man nicht sieht",
        "the display name has characters in it that are not seen" => {
            "der angezeigte Name enthält Zeichen, die man nicht sieht"
        }
        "the display name is longer than 100 characters" => "der angezeigte Name ist länger als 100 Zeichen",
        "it has fewer than eight characters" => "es hat weniger als acht Zeichen",
        "it is longer than 1024 bytes" => "es ist länger als 1024 Bytes",
        "it is longer than 1024 characters" => "es ist länger als 1024 Zeichen",
        "it is the name" => "es ist der Name",
        "it must have 1 to 64 characters" => "er muss 1 bis 64 Zeichen haben",
        "it needs a letter or a digit" => "er braucht einen Buchstaben oder eine Ziffer",
        "only letters a to z, digits, dot, underscore and hyphen are allowed" => {
            "nur die Buchstaben a bis z, Ziffern, Punkt, Unter- und Bindestrich sind erlaubt"
        }
        "this is not an address of mail, such as ada@example.org" => {
            "das ist keine Mailadresse wie ada@example.org"
        }
        "this is the address of five accounts already" => "das ist schon die Adresse von fünf Konten",
        "type the name that you sign in with, or your address" => {
            "geben Sie den Namen ein, mit dem Sie sich anmelden, oder Ihre Adresse"
        }
        "the relay's password is needed" => "das Passwort beim Relay wird gebraucht",
        "a relay has a host, such as mail.example.org, and a port" => {
            "ein Relay hat einen Host wie mail.example.org und einen Port"
        }
        "without TLS mail goes to a relay on this machine alone" => {
            "ohne TLS geht Mail nur an ein Relay auf diesem Rechner"
        }
        "the name or the password at the relay is too long, or has characters that are not seen" => {
            "der Name oder das Passwort beim Relay ist zu lang oder enthält Zeichen, die man nicht sieht"
        }
        "the web address is https://, a host, and a port perhaps" => {
            "die Webadresse ist https://, ein Host und vielleicht ein Port"
        }
        "look after people" => "Personen verwalten",
        "see the settings" => "die Einstellungen sehen",
        "list all drives" => "alle Laufwerke auflisten",
        "make shared drives here" => "hier geteilte Laufwerke anlegen",
        "change accounts" => "Konten ändern",
        "change the settings" => "die Einstellungen ändern",
        "end others' sessions" => "andere abmelden",
        "invite people" => "Personen einladen",
        "list users" => "die Personen auflisten",
        "look at accounts" => "Konten ansehen",
        "look at drives of others" => "Laufwerke anderer ansehen",
        "make users" => "Konten anlegen",
        "read the log" => "das Protokoll lesen",
        "remove accounts" => "Konten entfernen",
        "reset passwords" => "Passwörter zurücksetzen",
        "see invitations" => "Einladungen sehen",
        "see others' sessions" => "Anmeldungen anderer sehen",
        "take invitations back" => "Einladungen zurücknehmen",
        "turn off others' second factors" => "den zweiten Faktor anderer ausschalten",
        "set what a drive may hold" => "festlegen, was ein Laufwerk fassen darf",
        other => other,
    }
    .to_string()
}
