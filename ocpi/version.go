package ocpi

// Version is an OCPI version number as peers exchange it (2.2.1
// version_information_endpoint, VersionNumber).
type Version string

// The versions that the hub speaks. 2.2 carries the same payloads as 2.2.1 for
// everything a hub touches, and is advertised because several widely used
// peers know only its number.
const (
	V22  Version = "2.2"
	V221 Version = "2.2.1"
)

// Versions are those the hub offers, the preferred one first.
var Versions = [...]Version{V221, V22}

// Supported tells whether the hub speaks v.
func (v Version) Supported() bool {
	for _, known := range Versions {
		if v == known {
			return true
		}
	}
	return false
}
