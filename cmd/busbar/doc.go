// Command busbar is the hub: serve runs it, demo runs it with a simulated
// network, erase makes a running one forget a driver's token, version tells which
// one it is.
//
// The package reads flags, environment and the YAML file, turns signals into
// Stop, and errors into exit codes. Everything else is in package hub.
package main
