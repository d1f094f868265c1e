// SPDX-License-Identifier: Apache-2.0

package webui

import "strings"

// mark is a word that a User-Agent holds and what people call its sender. The first
// that fits counts: browsers name each other.
type mark struct{ word, name string }

var (
	browserMarks = []mark{
		{"Edg/", "Edge"}, {"EdgiOS/", "Edge"}, {"EdgA/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"MicroMessenger/", "WeChat"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systemMarks = []mark{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"CrOS", "ChromeOS"},
		{"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// BrowserName gives what a person calls the browser behind a User-Agent, such as
// "Firefox, Windows". A sender that nothing is known of is shown as it calls itself.
func BrowserName(userAgent string) string {
	browser, system := firstMark(browserMarks, userAgent), firstMark(systemMarks, userAgent)
	switch {
	case browser == "" && userAgent == "":
		return "–"
	case browser == "":
		return userAgent
	case system == "":
		return browser
	}
	return browser + ", " + system
}

func firstMark(marks []mark, userAgent string) string {
	for _, m := range marks {
		if strings.Contains(userAgent, m.word) {
			return m.name
		}
	}
	return ""
}
