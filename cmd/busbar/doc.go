// Command busbar is the hub: serve runs it, demo runs it with a simulated
// network, version tells which one it is.
//
// The package reads flags, environment and the YAML file, turns signals into
// Stop, and errors into exit codes. Everything else is in package hub.
package main
