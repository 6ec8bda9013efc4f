// Package lines dials the servers that the hub keeps its data in, so that all
// connections to them can be cut at once: a server that does not answer must not
// hold a hub that stops, whoever waits for it and however long that one would.
//
// It knows no protocol, and does not dial again.
package lines
