// SPDX-License-Identifier: Apache-2.0

// Package deviceauth signs a command-line program in by the device authorization
// grant (RFC 8628), on the standard library alone.
//
// Start asks the server for a code. The program shows it with the address at which a
// person types it. Wait polls until the person has decided, and gives the token:
//
//	client := &deviceauth.Client{Host: "https://sso.example.com", ClientID: "difyauth"}
//	auth, err := client.Start(ctx, "")
//	if err != nil {
//		return err
//	}
//	fmt.Printf("%s\n\nType it at %s\n", auth.UserCode, auth.VerificationURI)
//	token, err := client.Wait(ctx, auth)
//
// Every failure is one of the package's sentinels under errors.Is; what the server said
// is in *Error. Where the token is kept is the program's own affair, but Secret refuses
// to be printed, logged or marshalled by accident, and Authorized gives an HTTP client
// that presents it to the server that issued it and to nobody else.
package deviceauth
