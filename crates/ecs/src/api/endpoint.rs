//! Where the services of a region are.

/// Partitions whose domain is not the usual one (AWS' endpoints table), by the start of their regions' names.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
];

/// The address of a service in a region.
pub(super) fn address(service: &str, region: &str) -> String {
    let special = DOMAINS.iter().find(|(start, _)| region.starts_with(start));
    let domain = special.map_or("amazonaws.com", |(_, domain)| domain);
    format!("https://{service}.{region}.{domain}")
}

/// Whether an address is on this machine.
pub(super) fn is_here(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_in_their_partitions_domain() {
        for (service, region, expected) in [
            ("ecs", "eu-central-1", "https://ecs.eu-central-1.amazonaws.com"),
            ("ecs", "us-gov-west-1", "https://ecs.us-gov-west-1.amazonaws.com"),
            ("logs", "cn-north-1", "https://logs.cn-north-1.amazonaws.com.cn"),
            ("ecs", "us-isob-east-1", "https://ecs.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(address(service, region), expected);
        }
    }

    #[test]
    fn this_machine_is_known() {
        for (url, here) in [
            ("http://127.0.0.1:5000", true),
            ("http://localhost:5000/", true),
            ("http://[::1]:80", true),
            ("https://ecs.eu-central-1.amazonaws.com", false),
            ("http://127.0.0.1.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_here(url), here, "{url}");
        }
    }
}
