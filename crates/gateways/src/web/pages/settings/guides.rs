//! What is to be typed where, for each program that a device may connect with: `docs/webdav.md`, `docs/s3.md` and `docs/grpc.md`
//! tell the same.

use crate::web::text::words;
use base64::Engine as _;

/// How one program is told, folded away until it is looked for.
pub(in crate::web::pages) struct Guide {
    pub program: &'static str,
    /// Where in the program; nothing where the lines say all.
    pub words: &'static str,
    /// To be typed as they are.
    pub lines: Vec<String>,
}

fn guide(program: &'static str, words: &'static str, lines: &[&str]) -> Guide {
    Guide { program, words, lines: lines.iter().map(ToString::to_string).collect() }
}

/// Programs that speak WebDAV. `address` begins with `http` or `https`.
pub(super) fn webdav(address: &str, name: &str, password: &str) -> Vec<Guide> {
    let text = words();
    let gnome = address.replacen("http", "dav", 1);
    let bare = address.trim_end_matches('/');
    vec![
        guide("Finder (macOS)", text.guide_finder, &[address]),
        guide("Explorer (Windows)", text.guide_explorer, &[address]),
        guide("GNOME Files", text.guide_gnome, &[&gnome]),
        guide(
            "davfs2",
            text.guide_davfs,
            &[&format!("{address} {name} {password}"), &format!("mount -t davfs {address} /mnt")],
        ),
        guide(
            "rclone",
            text.guide_shell,
            &[
                &format!(
                    "rclone config create atoll webdav url={bare} vendor=owncloud user={name} pass={password} --obscure"
                ),
                "rclone ls atoll:",
            ],
        ),
    ]
}

/// What an S3 program is told.
pub(super) struct S3<'a> {
    pub endpoint: &'a str,
    pub region: &'a str,
    pub bucket: &'a str,
    pub key: &'a str,
    pub secret: &'a str,
}

/// Programs that speak S3.
pub(super) fn s3(S3 { endpoint, region, bucket, key, secret }: &S3) -> Vec<Guide> {
    let text = words();
    let signs = format!("export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret} AWS_DEFAULT_REGION={region}");
    let host = endpoint.split_once("://").map_or(*endpoint, |(_, host)| host);
    let plain = if endpoint.starts_with("https") { "" } else { " --no-ssl" };
    vec![
        guide("aws", text.guide_shell, &[&signs, &format!("aws --endpoint-url {endpoint} s3 ls s3://{bucket}/")]),
        guide(
            "rclone",
            text.guide_shell,
            &[
                &format!(
                    "rclone config create atoll s3 provider=Other access_key_id={key} secret_access_key={secret} \
                     endpoint={endpoint} region={region} force_path_style=true"
                ),
                &format!("rclone ls atoll:{bucket}"),
            ],
        ),
        guide("restic", text.guide_restic, &[&signs, &format!("restic -r s3:{endpoint}/{bucket}/restic init")]),
        guide(
            "s3cmd",
            text.guide_shell,
            &[&format!(
                "s3cmd --access_key={key} --secret_key={secret} --host={host} --host-bucket={host} --region={region}{plain} \
                 ls s3://{bucket}/"
            )],
        ),
    ]
}

/// Programs that speak gRPC. `server` is a host and a port.
pub(super) fn grpc(server: &str, tls: bool, name: &str, password: &str) -> Vec<Guide> {
    let text = words();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    let plain = if tls { "-cacert authority.pem" } else { "-plaintext" };
    vec![
        guide(text.guide_metadata, "", &[&format!("authorization: Basic {basic}")]),
        guide(
            "grpcurl",
            text.guide_shell,
            &[&format!("grpcurl {plain} -H 'authorization: Basic {basic}' {server} atoll.v1.Accounts/WhoAmI")],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fit_their_programs() {
        let lines = |guides: Vec<Guide>| guides.into_iter().flat_map(|it| it.lines).collect::<Vec<_>>().join("\n");
        let told = lines(webdav("https://files.example:8443/dav/home/", "ada", "p-w"));
        for line in [
            "\ndavs://files.example:8443/dav/home/\n",
            "\nhttps://files.example:8443/dav/home/ ada p-w\n",
            " url=https://files.example:8443/dav/home vendor=owncloud ",
        ] {
            assert!(told.contains(line), "{line:?} in {told}");
        }
        assert!(lines(webdav("http://[::1]:8080/dav/home/", "ada", "p-w")).contains("\ndav://[::1]:8080/dav/home/\n"));
        let s3 = |endpoint| {
            let (region, bucket, key, secret) = ("us-east-1", "ada", "K", "S");
            lines(s3(&S3 { endpoint, region, bucket, key, secret }))
        };
        assert!(s3("http://files.example:9000").contains("--host=files.example:9000 --host-bucket=files.example:9000"));
        assert!(
            s3("http://files.example:9000").contains(" --no-ssl ") && !s3("https://files.example:9000").contains("ssl")
        );
    }
}
