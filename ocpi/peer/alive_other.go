//go:build !unix

package peer

import "net"

// looker cannot look where there is no MSG_PEEK.
func looker(net.Conn) (alive func() bool) { return func() bool { return true } }
